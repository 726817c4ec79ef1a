package admissionregistration

import (
	"slices"
	"strconv"
	"strings"

	registration "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/celcheck"
	"github.com/knarr-io/knarr/internal/api/validate"
)

const (
	maxAuditAnnotations     = 20
	maxAuditValueExpression = 5 * 1024 // bytes
)

// known are the expressions of the stored policy, by what they are for.
type known struct {
	conditions, validations, messages, audits map[string]bool
}

func knownOf(old validatingPolicy) known {
	k := known{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	if old == nil {
		return k
	}
	for _, c := range old.Spec.MatchConditions {
		k.conditions[c.Expression] = true
	}
	for _, v := range old.Spec.Validations {
		k.validations[v.Expression] = true
		k.messages[v.MessageExpression] = true
	}
	for _, a := range old.Spec.AuditAnnotations {
		k.audits[a.ValueExpression] = true
	}
	return k
}

// validateValidatingPolicy checks a new policy (old is nil) or a change.
func validateValidatingPolicy(p, old validatingPolicy) field.ErrorList {
	s, path := &p.Spec, field.NewPath("spec")
	e := expressions{params: s.ParamKind != nil, composed: len(s.Variables) > 0}
	k := knownOf(old)
	errs := validateFailurePolicy(s.FailurePolicy, path.Child("failurePolicy"))
	errs = append(errs, validateParamKind(s.ParamKind, path.Child("paramKind"))...)
	errs = append(errs, validateConstraints(s.MatchConstraints, path.Child("matchConstraints"))...)
	if old == nil || !equality.Semantic.DeepEqual(s.ParamKind, old.Spec.ParamKind) || !slices.Equal(s.MatchConditions, old.Spec.MatchConditions) {
		errs = append(errs, validateConditions(s.MatchConditions, e.params, k.conditions, path.Child("matchConditions"))...)
	}
	errs = append(errs, e.variables(s.Variables, k.validations, path.Child("variables"))...)
	if len(s.Validations) == 0 && len(s.AuditAnnotations) == 0 {
		const why = "validations or auditAnnotations must contain at least one item"
		return append(errs, field.Required(path.Child("validations"), why), field.Required(path.Child("auditAnnotations"), why))
	}
	for i := range s.Validations {
		errs = append(errs, e.validation(&s.Validations[i], k, path.Child("validations").Index(i))...)
	}
	return append(errs, e.auditAnnotations(p.Name, s.AuditAnnotations, k, path.Child("auditAnnotations"))...)
}

func validateFailurePolicy(p *registration.FailurePolicyType, path *field.Path) field.ErrorList {
	if p == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	return validate.OneOf(*p, path, registration.Fail, registration.Ignore)
}

// validateConstraints asks for at least one rule, since rules say which types
// the expressions are about.
func validateConstraints(m *registration.MatchResources, path *field.Path) field.ErrorList {
	if m == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	errs := validateMatch(m, path)
	if len(m.ResourceRules) == 0 {
		errs = append(errs, field.Required(path.Child("resourceRules"), ""))
	}
	return errs
}

func (e *expressions) validation(v *registration.Validation, k known, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if strings.TrimSpace(v.Expression) == "" {
		errs = append(errs, field.Required(path.Child("expression"), "expression is not specified"))
	} else {
		errs = append(errs, e.check(celcheck.Bool(v.Expression), e.all(), k.validations[v.Expression], path.Child("expression"))...)
	}
	errs = append(errs, e.message(v, k, path)...)
	if v.Reason != nil {
		errs = append(errs, validate.OneOf(*v.Reason, path.Child("reason"), metav1.StatusReasonForbidden,
			metav1.StatusReasonInvalid, metav1.StatusReasonRequestEntityTooLarge)...)
	}
	return errs
}

func (e *expressions) message(v *registration.Validation, k known, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if at := path.Child("messageExpression"); strings.TrimSpace(v.MessageExpression) != "" {
		vars := celcheck.Variables{HasParams: e.params}
		errs = append(errs, e.check(celcheck.String(v.MessageExpression), vars, k.messages[v.MessageExpression], at)...)
	} else if v.MessageExpression != "" {
		errs = append(errs, field.Invalid(at, v.MessageExpression, "must be non-empty if specified"))
	}
	at, text := path.Child("message"), strings.TrimSpace(v.Message)
	switch {
	case v.Message != "" && text == "":
		errs = append(errs, field.Invalid(at, v.Message, "must be non-empty if specified"))
	case strings.ContainsAny(text, "\n\r"):
		errs = append(errs, field.Invalid(at, v.Message, "must not contain line breaks"))
	}
	return errs
}

func (e *expressions) auditAnnotations(policy string, list []registration.AuditAnnotation, k known, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(list) > maxAuditAnnotations {
		errs = append(errs, field.Invalid(path, validate.Shown(list),
			"must not have more than "+strconv.Itoa(maxAuditAnnotations)+" auditAnnotations"))
	}
	seen := map[string]bool{}
	for i, a := range list {
		at := path.Index(i)
		if policy == "" {
			errs = append(errs, field.Invalid(at.Child("key"), a.Key, "requires metadata.name be non-empty"))
		} else {
			errs = append(errs, validate.QualifiedName(policy+"/"+a.Key, at.Child("key"))...)
		}
		errs = append(errs, e.auditValue(a.ValueExpression, k.audits[a.ValueExpression], at.Child("valueExpression"))...)
		if seen[a.Key] {
			errs = append(errs, field.Duplicate(at.Child("key"), a.Key))
		}
		seen[a.Key] = true
	}
	return errs
}

func (e *expressions) auditValue(text string, known bool, path *field.Path) field.ErrorList {
	trimmed := strings.TrimSpace(text)
	switch {
	case trimmed == "":
		return field.ErrorList{field.Required(path, "valueExpression is not specified")}
	case len(trimmed) > maxAuditValueExpression:
		return field.ErrorList{field.Required(path, "must not exceed "+strconv.Itoa(maxAuditValueExpression)+" bytes in length")}
	}
	errs := e.check(celcheck.StringOrNull(trimmed), e.all(), known, path)
	for _, err := range errs {
		if err.Type == field.ErrorTypeInvalid {
			err.BadValue = text // what the user wrote; positions are of the trimmed text
		}
	}
	return errs
}
