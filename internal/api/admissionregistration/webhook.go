package admissionregistration

import (
	"slices"
	"strings"

	registration "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// hook is what mutating and validating webhooks have in common: a mutating
// webhook differs by one field.
type hook struct {
	*registration.MutatingWebhook
}

func ofValidating(w *registration.ValidatingWebhook) hook {
	return hook{&registration.MutatingWebhook{
		Name: w.Name, ClientConfig: w.ClientConfig, Rules: w.Rules, FailurePolicy: w.FailurePolicy,
		MatchPolicy: w.MatchPolicy, NamespaceSelector: w.NamespaceSelector, ObjectSelector: w.ObjectSelector,
		SideEffects: w.SideEffects, TimeoutSeconds: w.TimeoutSeconds,
		AdmissionReviewVersions: w.AdmissionReviewVersions, MatchConditions: w.MatchConditions,
	}}
}

// tolerance is what an update lets through because the stored object has it.
type tolerance struct {
	sideEffects, versions, names, selectors bool
	conditions                              bool
	known                                   map[string]bool
}

// toleranceFor finds what the old webhooks do that new ones may not.
func toleranceFor(hooks, old []hook) tolerance {
	t := tolerance{known: map[string]bool{}, conditions: sameConditions(hooks, old)}
	names := map[string]bool{}
	for _, h := range old {
		t.sideEffects = t.sideEffects || h.SideEffects == nil || !slices.Contains(harmless(), *h.SideEffects)
		t.versions = t.versions || len(h.AdmissionReviewVersions) > 0 && !understood(h.AdmissionReviewVersions)
		t.names = t.names || names[h.Name]
		names[h.Name] = true
		t.selectors = t.selectors || len(h.validateSelectors(false, nil)) > 0
		for _, c := range h.MatchConditions {
			t.known[c.Expression] = true
		}
	}
	return t
}

func sameConditions(hooks, old []hook) bool {
	return slices.EqualFunc(hooks, old, func(a, b hook) bool {
		return slices.Equal(a.MatchConditions, b.MatchConditions)
	})
}

func validateHooks(hooks []hook, t tolerance) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, h := range hooks {
		path := field.NewPath("webhooks").Index(i)
		errs = append(errs, h.validate(t, path)...)
		errs = append(errs, validateReviewVersions(h.AdmissionReviewVersions, t.versions, path.Child("admissionReviewVersions"))...)
		if !t.names && h.Name != "" && seen[h.Name] {
			errs = append(errs, field.Duplicate(path.Child("name"), h.Name))
		}
		seen[h.Name] = true
	}
	return errs
}

func (h hook) validate(t tolerance, path *field.Path) field.ErrorList {
	errs := validation.IsFullyQualifiedName(path.Child("name"), h.Name)
	for i := range h.Rules {
		errs = append(errs, validateRule(&h.Rules[i], path.Child("rules").Index(i))...)
	}
	if h.FailurePolicy != nil {
		errs = append(errs, validate.OneOf(*h.FailurePolicy, path.Child("failurePolicy"), registration.Ignore, registration.Fail)...)
	}
	if h.MatchPolicy != nil {
		errs = append(errs, validate.OneOf(*h.MatchPolicy, path.Child("matchPolicy"), registration.Exact, registration.Equivalent)...)
	}
	errs = append(errs, h.validateSideEffects(t.sideEffects, path.Child("sideEffects"))...)
	if s := h.TimeoutSeconds; s != nil && (*s < 1 || *s > 30) {
		errs = append(errs, field.Invalid(path.Child("timeoutSeconds"), *s, "the timeout value must be between 1 and 30 seconds"))
	}
	errs = append(errs, h.validateSelectors(t.selectors, path)...)
	if h.ReinvocationPolicy != nil {
		errs = append(errs, validate.OneOf(*h.ReinvocationPolicy, path.Child("reinvocationPolicy"),
			registration.NeverReinvocationPolicy, registration.IfNeededReinvocationPolicy)...)
	}
	errs = append(errs, validateClient(&h.ClientConfig, path.Child("clientConfig"))...)
	if !t.conditions {
		errs = append(errs, validateConditions(h.MatchConditions, false, t.known, path.Child("matchConditions"))...)
	}
	return errs
}

// harmless are the side effects that webhooks of v1 may have.
func harmless() []registration.SideEffectClass {
	return []registration.SideEffectClass{registration.SideEffectClassNone, registration.SideEffectClassNoneOnDryRun}
}

func (h hook) validateSideEffects(tolerant bool, path *field.Path) field.ErrorList {
	allowed := harmless()
	if tolerant {
		allowed = append(allowed, registration.SideEffectClassSome, registration.SideEffectClassUnknown)
	}
	if h.SideEffects != nil {
		return validate.OneOf(*h.SideEffects, path, allowed...)
	}
	var names []string
	for _, class := range allowed {
		names = append(names, string(class))
	}
	return field.ErrorList{field.Required(path, "must specify one of "+strings.Join(names, ", "))}
}

func (h hook) validateSelectors(tolerant bool, path *field.Path) field.ErrorList {
	check := func(s *metav1.LabelSelector, name string) field.ErrorList {
		return metavalidation.ValidateLabelSelector(s,
			metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: tolerant}, path.Child(name))
	}
	return append(check(h.NamespaceSelector, "namespaceSelector"), check(h.ObjectSelector, "objectSelector")...)
}

func validateClient(c *registration.WebhookClientConfig, path *field.Path) field.ErrorList {
	switch {
	case (c.URL == nil) == (c.Service == nil):
		return field.ErrorList{field.Required(path, "exactly one of url or service is required")}
	case c.URL != nil:
		return validate.WebhookURL(*c.URL, path.Child("url"))
	}
	return validateService(c.Service, path.Child("service"))
}

// validateService reports a missing name at namespace, and the other way
// round, as upstream does.
func validateService(s *registration.ServiceReference, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.Namespace == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	if s.Name == "" {
		errs = append(errs, field.Required(path.Child("namespace"), ""))
	}
	var port int32
	if s.Port != nil {
		port = *s.Port
	}
	errs = append(errs, validate.ServicePort(port, path.Child("port"))...)
	if s.Path != nil {
		errs = append(errs, validate.WebhookPath(*s.Path, path.Child("path"))...)
	}
	return errs
}
