package policy

import (
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/template"
	"github.com/knarr-io/knarr/internal/api/validate"
)

func rules() api.RulesOf[*policyv1.PodDisruptionBudget] {
	return api.RulesOf[*policyv1.PodDisruptionBudget]{
		Meta:           api.MetaLast,
		PrepareCreate:  func(b *policyv1.PodDisruptionBudget) { b.Status = policyv1.PodDisruptionBudgetStatus{} },
		PrepareUpdate:  func(b, old *policyv1.PodDisruptionBudget) { b.Status = old.Status },
		Validate:       validateBudget,
		ValidateUpdate: func(b, _ *policyv1.PodDisruptionBudget) field.ErrorList { return validateBudget(b) },
		Generation: func(b, old *policyv1.PodDisruptionBudget) bool {
			return !equality.Semantic.DeepEqual(b.Spec, old.Spec)
		},
	}
}

func statusRules() *api.RulesOf[*policyv1.PodDisruptionBudget] {
	return &api.RulesOf[*policyv1.PodDisruptionBudget]{
		PrepareUpdate:  func(b, old *policyv1.PodDisruptionBudget) { b.Spec = old.Spec },
		ValidateUpdate: func(b, _ *policyv1.PodDisruptionBudget) field.ErrorList { return validateStatus(&b.Status) },
	}
}

func validateBudget(b *policyv1.PodDisruptionBudget) field.ErrorList {
	path, s := field.NewPath("spec"), &b.Spec
	var errs field.ErrorList
	if s.MinAvailable != nil && s.MaxUnavailable != nil {
		errs = append(errs, field.Invalid(path, validate.Shown(*s), "minAvailable and maxUnavailable cannot be both set"))
	}
	errs = append(errs, share(s.MinAvailable, path.Child("minAvailable"))...)
	errs = append(errs, share(s.MaxUnavailable, path.Child("maxUnavailable"))...)
	errs = append(errs, validate.LabelSelector(s.Selector, path.Child("selector"))...)
	if s.UnhealthyPodEvictionPolicy != nil {
		errs = append(errs, validate.OneOf(*s.UnhealthyPodEvictionPolicy, path.Child("unhealthyPodEvictionPolicy"),
			policyv1.AlwaysAllow, policyv1.IfHealthyBudget)...)
	}
	return errs
}

// share checks a number of pods, or a percentage up to 100.
func share(v *intstr.IntOrString, path *field.Path) field.ErrorList {
	if v == nil {
		return nil
	}
	return append(validate.CountOrPercent(*v, path), template.AtMost100Percent(v, path)...)
}

func validateStatus(s *policyv1.PodDisruptionBudgetStatus) field.ErrorList {
	path := field.NewPath("status")
	errs := metavalidation.ValidateConditions(s.Conditions, path.Child("conditions"))
	return append(errs, template.NonNegative(path,
		template.Number{Name: "disruptionsAllowed", Value: int64(s.DisruptionsAllowed)},
		template.Number{Name: "currentHealthy", Value: int64(s.CurrentHealthy)},
		template.Number{Name: "desiredHealthy", Value: int64(s.DesiredHealthy)},
		template.Number{Name: "expectedPods", Value: int64(s.ExpectedPods)})...)
}
