package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func validateResourceQuota(q *corev1.ResourceQuota) field.ErrorList {
	spec := field.NewPath("spec")
	errs := quotaAmounts(q.Spec.Hard, spec.Child("hard"))
	errs = append(errs, quotaScopes(&q.Spec, spec.Child("scopes"))...)
	return append(errs, quotaSelector(&q.Spec, spec.Child("scopeSelector"))...)
}

func validateResourceQuotaUpdate(q, old *corev1.ResourceQuota) field.ErrorList {
	errs := validateResourceQuota(q)
	if !sets.New(q.Spec.Scopes...).Equal(sets.New(old.Spec.Scopes...)) {
		errs = append(errs, field.Invalid(field.NewPath("spec", "scopes"), q.Spec.Scopes, "field is immutable"))
	}
	return errs
}

func validateResourceQuotaStatus(q, _ *corev1.ResourceQuota) field.ErrorList {
	status := field.NewPath("status")
	return append(quotaAmounts(q.Status.Hard, status.Child("hard")), quotaAmounts(q.Status.Used, status.Child("used"))...)
}

func quotaAmounts(list corev1.ResourceList, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range sortedResources(list) {
		at := path.Key(string(name))
		errs = append(errs, validate.QuotaResourceName(string(name), at)...)
		errs = append(errs, validate.ResourceQuantity(name, list[name], at)...)
	}
	return errs
}

// scopeFits tells which resources a scope can limit: all, where known is
// false since there is no such scope.
func scopeFits(scope corev1.ResourceQuotaScope, name corev1.ResourceName) (fits, known bool) {
	compute := sets.New(corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory,
		corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory)
	switch scope {
	case corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeNotBestEffort,
		corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		return name == corev1.ResourcePods || compute.Has(name), true
	case corev1.ResourceQuotaScopeBestEffort:
		return name == corev1.ResourcePods, true
	case corev1.ResourceQuotaScopeVolumeAttributesClass:
		return name == corev1.ResourcePersistentVolumeClaims || name == corev1.ResourceRequestsStorage, true
	}
	return true, false
}

// unfit counts the resources of Kubernetes' own that the quota limits and the
// scope does not select.
func unfit(s *corev1.ResourceQuotaSpec, scope corev1.ResourceQuotaScope) int {
	count := 0
	for name := range s.Hard {
		if fits, _ := scopeFits(scope, name); !fits && validate.StandardQuotaResource(name) {
			count++
		}
	}
	return count
}

func quotaScopes(s *corev1.ResourceQuotaSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, scope := range s.Scopes {
		if _, known := scopeFits(scope, ""); !known {
			errs = append(errs, field.Invalid(path, s.Scopes, "unsupported scope"))
		}
		for range unfit(s, scope) {
			errs = append(errs, field.Invalid(path, s.Scopes, "unsupported scope applied to resource"))
		}
	}
	return append(errs, conflictingScopes(s, sets.New(s.Scopes...), path)...)
}

// conflictingScopes shows the list of scopes, also where the selector is what
// contradicts itself, as upstream does.
func conflictingScopes(s *corev1.ResourceQuotaSpec, has sets.Set[corev1.ResourceQuotaScope], path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if has.HasAll(corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort) {
		errs = append(errs, field.Invalid(path, s.Scopes, "conflicting scopes"))
	}
	if has.HasAll(corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating) {
		errs = append(errs, field.Invalid(path, s.Scopes, "conflicting scopes"))
	}
	return errs
}

func quotaSelector(s *corev1.ResourceQuotaSpec, path *field.Path) field.ErrorList {
	if s.ScopeSelector == nil {
		return nil
	}
	var errs field.ErrorList
	at, has := path.Child("matchExpressions"), sets.New[corev1.ResourceQuotaScope]()
	for _, r := range s.ScopeSelector.MatchExpressions {
		has.Insert(r.ScopeName)
		_, known := scopeFits(r.ScopeName, "")
		if !known {
			errs = append(errs, field.Invalid(at.Child("scopeName"), r.ScopeName, "unsupported scope"))
		}
		for range unfit(s, r.ScopeName) {
			errs = append(errs, field.Invalid(at, validate.Shown(s.ScopeSelector), "unsupported scope applied to resource"))
		}
		values := r.ScopeName == corev1.ResourceQuotaScopePriorityClass || r.ScopeName == corev1.ResourceQuotaScopeVolumeAttributesClass
		if known && !values && r.Operator != corev1.ScopeSelectorOpExists {
			errs = append(errs, field.Invalid(at.Child("operator"), r.Operator,
				"must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "+
					"ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"))
		}
		errs = append(errs, scopeOperator(&r, at)...)
	}
	return append(errs, conflictingScopes(s, has, at)...)
}

func scopeOperator(r *corev1.ScopedResourceSelectorRequirement, at *field.Path) field.ErrorList {
	switch r.Operator {
	case corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn:
		if len(r.Values) == 0 {
			return field.ErrorList{field.Required(at.Child("values"),
				"must be at least one value when `operator` is 'In' or 'NotIn' for scope selector")}
		}
	case corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist:
		if len(r.Values) != 0 {
			return field.ErrorList{field.Invalid(at.Child("values"), r.Values,
				"must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector")}
		}
	default:
		return field.ErrorList{field.Invalid(at.Child("operator"), r.Operator, "not a valid selector operator")}
	}
	return nil
}
