package autoscaling

import (
	"fmt"
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func validateAutoscaler(h *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	at, s := field.NewPath("spec"), &h.Spec
	var errs field.ErrorList
	if s.MinReplicas != nil && *s.MinReplicas < 1 {
		errs = append(errs, field.Invalid(at.Child("minReplicas"), *s.MinReplicas, "must be greater than or equal to 1"))
	}
	most := at.Child("maxReplicas")
	switch {
	case s.MaxReplicas == 0:
		errs = append(errs, field.Required(most, "must be set and greater than 0"))
	case s.MaxReplicas < 0:
		errs = append(errs, field.Invalid(most, s.MaxReplicas, "must be greater than or equal to 1"))
	}
	if s.MinReplicas != nil && s.MaxReplicas < *s.MinReplicas {
		errs = append(errs, field.Invalid(most, s.MaxReplicas, "must be greater than or equal to `minReplicas`"))
	}
	target := at.Child("scaleTargetRef")
	errs = append(errs, validateReference(s.ScaleTargetRef, target)...)
	errs = append(errs, validateTargetVersion(s.ScaleTargetRef, target.Child("apiVersion"))...)
	for i := range s.Metrics {
		errs = append(errs, validateMetric(&s.Metrics[i], at.Child("metrics").Index(i))...)
	}
	if s.MinReplicas != nil && *s.MinReplicas == 0 && !slices.ContainsFunc(s.Metrics, fromOutside) {
		errs = append(errs, field.Forbidden(at.Child("metrics"),
			"must specify at least one Object or External metric to support scaling to zero replicas"))
	}
	if s.Behavior != nil {
		errs = append(errs, validateScaling(s.Behavior.ScaleUp, at.Child("behavior", "scaleUp"))...)
		errs = append(errs, validateScaling(s.Behavior.ScaleDown, at.Child("behavior", "scaleDown"))...)
	}
	return errs
}

// fromOutside tells of a metric that goes on being measured without pods.
func fromOutside(m autoscalingv2.MetricSpec) bool {
	return m.Type == autoscalingv2.ObjectMetricSourceType || m.Type == autoscalingv2.ExternalMetricSourceType
}

func validateReference(r autoscalingv2.CrossVersionObjectReference, at *field.Path) field.ErrorList {
	return append(segment(r.Kind, at.Child("kind"), ""), segment(r.Name, at.Child("name"), "")...)
}

// segment checks a required word that stands in a URL's path.
func segment(value string, at *field.Path, missing string) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(at, missing)}
	}
	return validate.Each(path.IsValidPathSegmentName(value), value, at)
}

// validateTargetVersion wants a group, since none of the core group's kinds
// scales but one.
func validateTargetVersion(r autoscalingv2.CrossVersionObjectReference, at *field.Path) field.ErrorList {
	gv, err := schema.ParseGroupVersion(r.APIVersion)
	switch {
	case err != nil:
		return field.ErrorList{field.Invalid(at, r.APIVersion, err.Error())}
	case gv.Group == "" && r.Kind != "ReplicationController":
		return field.ErrorList{field.Invalid(at, r.APIVersion, "apiVersion must specify API group")}
	}
	return nil
}

func validateScaling(r *autoscalingv2.HPAScalingRules, at *field.Path) field.ErrorList {
	const longestWindow, longestPeriod = 3600, 1800 // seconds
	if r == nil {
		return nil
	}
	var errs field.ErrorList
	if w := r.StabilizationWindowSeconds; w != nil {
		if *w < 0 {
			errs = append(errs, field.Invalid(at.Child("stabilizationWindowSeconds"), *w, "must be greater than or equal to zero"))
		}
		if *w > longestWindow {
			errs = append(errs, field.Invalid(at.Child("stabilizationWindowSeconds"), *w, fmt.Sprintf("must be less than or equal to %v", longestWindow)))
		}
	}
	if r.SelectPolicy != nil {
		errs = append(errs, validate.OneOf(*r.SelectPolicy, at.Child("selectPolicy"), autoscalingv2.MaxChangePolicySelect,
			autoscalingv2.MinChangePolicySelect, autoscalingv2.DisabledPolicySelect)...)
	}
	policies := at.Child("policies")
	if len(r.Policies) == 0 {
		errs = append(errs, field.Required(policies, "must specify at least one Policy"))
	}
	for i, p := range r.Policies {
		policy := policies.Index(i)
		errs = append(errs, validate.OneOf(p.Type, policy.Child("type"),
			autoscalingv2.PodsScalingPolicy, autoscalingv2.PercentScalingPolicy)...)
		errs = append(errs, validate.Positive(p.Value, policy.Child("value"))...)
		errs = append(errs, validate.Positive(p.PeriodSeconds, policy.Child("periodSeconds"))...)
		if p.PeriodSeconds > longestPeriod {
			errs = append(errs, field.Invalid(policy.Child("periodSeconds"), p.PeriodSeconds, fmt.Sprintf("must be less than or equal to %v", longestPeriod)))
		}
	}
	if r.Tolerance != nil {
		errs = append(errs, validate.NonNegativeQuantity(*r.Tolerance, at.Child("tolerance"))...)
	}
	return errs
}

func validateStatus(s *autoscalingv2.HorizontalPodAutoscalerStatus) field.ErrorList {
	at := field.NewPath("status")
	errs := validate.NonNegative(s.CurrentReplicas, at.Child("currentReplicas"))
	return append(errs, validate.NonNegative(s.DesiredReplicas, at.Child("desiredReplicas"))...)
}
