package admissionregistration

import (
	"slices"
	"strings"

	registration "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/celcheck"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// validateMutatingPolicy checks a new policy (old is nil) or a change.
func validateMutatingPolicy(p, old mutatingPolicy) field.ErrorList {
	s, path := &p.Spec, field.NewPath("spec")
	e := expressions{params: s.ParamKind != nil, composed: true, patches: true}
	errs := validateFailurePolicy(s.FailurePolicy, path.Child("failurePolicy"))
	errs = append(errs, validateParamKind(s.ParamKind, path.Child("paramKind"))...)
	constraints := path.Child("matchConstraints")
	errs = append(errs, validateConstraints(s.MatchConstraints, constraints)...)
	errs = append(errs, validateMutableOperations(s.MatchConstraints, constraints)...)
	var known map[string]bool
	same := false
	if old != nil {
		known = map[string]bool{}
		for _, c := range old.Spec.MatchConditions {
			known[c.Expression] = true
		}
		same = equality.Semantic.DeepEqual(s.ParamKind, old.Spec.ParamKind) && slices.Equal(s.MatchConditions, old.Spec.MatchConditions)
	}
	if !same {
		errs = append(errs, validateConditions(s.MatchConditions, e.params, known, path.Child("matchConditions"))...)
	}
	errs = append(errs, e.variables(s.Variables, nil, path.Child("variables"))...)
	if len(s.Mutations) == 0 {
		errs = append(errs, field.Required(path.Child("mutations"), "mutations must contain at least one item"))
	}
	for i := range s.Mutations {
		errs = append(errs, e.mutation(&s.Mutations[i], path.Child("mutations").Index(i))...)
	}
	return append(errs, validateReinvocation(s.ReinvocationPolicy, path.Child("reinvocationPolicy"))...)
}

func validateReinvocation(p registration.ReinvocationPolicyType, path *field.Path) field.ErrorList {
	switch p {
	case registration.NeverReinvocationPolicy, registration.IfNeededReinvocationPolicy:
		return nil
	case "":
		return field.ErrorList{field.Required(path, "")}
	}
	return field.ErrorList{field.NotSupported(path, p, []registration.ReinvocationPolicyType{
		registration.NeverReinvocationPolicy, registration.IfNeededReinvocationPolicy,
	})}
}

// validateMutableOperations refuses deletions, where there is nothing to
// change.
func validateMutableOperations(m *registration.MatchResources, path *field.Path) field.ErrorList {
	if m == nil {
		return nil
	}
	var errs field.ErrorList
	for _, rule := range m.ResourceRules {
		for _, op := range rule.Operations {
			errs = append(errs, validate.OneOf(op, path.Child("resourceRules", "operations"), registration.OperationAll,
				registration.Connect, registration.Create, registration.Update)...)
		}
	}
	return errs
}

func (e *expressions) mutation(m *registration.Mutation, path *field.Path) field.ErrorList {
	apply, patch := path.Child("applyConfiguration"), path.Child("jsonPatch")
	var errs field.ErrorList
	switch m.PatchType {
	case "":
		return field.ErrorList{field.Required(path.Child("patchType"), "")}
	case registration.PatchTypeJSONPatch:
		if m.JSONPatch == nil {
			errs = append(errs, field.Required(patch, "must be specified when patchType is JSONPatch"))
		} else {
			errs = append(errs, e.patch(celcheck.JSONPatch(strings.TrimSpace(m.JSONPatch.Expression)), patch.Child("expression"))...)
		}
		if m.ApplyConfiguration != nil {
			errs = append(errs, field.Invalid(apply, "{applyConfiguration}", "must not be specified when patchType is JSONPatch"))
		}
		return errs
	case registration.PatchTypeApplyConfiguration:
		if m.ApplyConfiguration == nil {
			errs = append(errs, field.Required(apply, "must be specified when patchType is ApplyConfiguration"))
		} else {
			errs = append(errs, e.patch(celcheck.ApplyConfiguration(strings.TrimSpace(m.ApplyConfiguration.Expression)), apply.Child("expression"))...)
		}
		if m.JSONPatch != nil {
			errs = append(errs, field.Invalid(patch, "{jsonPatch}", "must not be specified when patchType is ApplyConfiguration"))
		}
		return errs
	}
	return validate.OneOf(m.PatchType, path.Child("patchType"), registration.PatchTypeApplyConfiguration, registration.PatchTypeJSONPatch)
}

func (e *expressions) patch(x *celcheck.Expression, path *field.Path) field.ErrorList {
	if x.Text == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return e.check(x, e.all(), false, path)
}
