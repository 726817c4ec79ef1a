package admissionregistration

import (
	"strings"

	registration "k8s.io/api/admissionregistration/v1"
	pathvalidation "k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/celcheck"
	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// maxMatchConditions bounds what a webhook or policy may ask of a request.
const maxMatchConditions = 64

func defaultMatch(m *registration.MatchResources) {
	if m == nil {
		return
	}
	optional.Default(&m.MatchPolicy, registration.Equivalent)
	optional.Default(&m.NamespaceSelector, metav1.LabelSelector{})
	optional.Default(&m.ObjectSelector, metav1.LabelSelector{})
	for i := range m.ResourceRules {
		defaultRule(&m.ResourceRules[i].Rule)
	}
	for i := range m.ExcludeResourceRules {
		defaultRule(&m.ExcludeResourceRules[i].Rule)
	}
}

// validateMatch checks which requests a policy is about; nil is valid.
func validateMatch(m *registration.MatchResources, path *field.Path) field.ErrorList {
	if m == nil {
		return nil
	}
	var errs field.ErrorList
	if policy := path.Child("matchPolicy"); m.MatchPolicy == nil {
		errs = append(errs, field.Required(policy, ""))
	} else {
		errs = append(errs, validate.OneOf(*m.MatchPolicy, policy, registration.Exact, registration.Equivalent)...)
	}
	errs = append(errs, requiredSelector(m.NamespaceSelector, path.Child("namespaceSelector"))...)
	errs = append(errs, requiredSelector(m.ObjectSelector, path.Child("objectSelector"))...)
	errs = append(errs, validateNamedRules(m.ResourceRules, path.Child("resourceRules"))...)
	return append(errs, validateNamedRules(m.ExcludeResourceRules, path.Child("excludeResourceRules"))...)
}

func requiredSelector(s *metav1.LabelSelector, path *field.Path) field.ErrorList {
	if s == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	return validate.LabelSelector(s, path)
}

func validateNamedRules(rules []registration.NamedRuleWithOperations, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range rules {
		at, seen := path.Index(i), map[string]bool{}
		for j, name := range rules[i].ResourceNames {
			name, at := name, at.Child("resourceNames").Index(j)
			errs = append(errs, validate.Each(pathvalidation.ValidatePathSegmentName(name, false), name, at)...)
			if seen[name] {
				errs = append(errs, field.Duplicate(at, name))
			}
			seen[name] = true
		}
		errs = append(errs, validateRule(&rules[i].RuleWithOperations, at)...)
	}
	return errs
}

// validateConditions compiles the conditions that a request must meet. known
// are expressions that the stored object holds.
func validateConditions(conditions []registration.MatchCondition, params bool, known map[string]bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(conditions) > maxMatchConditions {
		errs = append(errs, field.TooMany(path, len(conditions), maxMatchConditions))
	}
	seen := map[string]bool{}
	for i, c := range conditions {
		at := path.Index(i)
		errs = append(errs, validateCondition(c, params, known, at)...)
		if c.Name != "" && seen[c.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
		}
		seen[c.Name] = true
	}
	return errs
}

func validateCondition(c registration.MatchCondition, params bool, known map[string]bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if text := strings.TrimSpace(c.Expression); text == "" {
		errs = append(errs, field.Required(path.Child("expression"), ""))
	} else {
		errs = append(errs, checkCondition(text, params, known[text], path.Child("expression"))...)
	}
	if c.Name == "" {
		return append(errs, field.Required(path.Child("name"), ""))
	}
	return append(errs, validate.QualifiedName(c.Name, path.Child("name"))...)
}

func checkCondition(text string, params, known bool, path *field.Path) field.ErrorList {
	compiler, err := celcheck.New(false)
	if err != nil {
		return field.ErrorList{field.InternalError(path, err)}
	}
	vars := celcheck.Variables{HasParams: params, HasAuthorizer: true}
	return compiler.CheckAlone(celcheck.Bool(text), vars, known, path)
}
