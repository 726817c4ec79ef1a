package autoscaling

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api/optional"
)

// defaultUtilization is the share of requested CPU that is aimed at where
// nothing is said.
const defaultUtilization int32 = 80

func defaultAutoscaler(h *autoscalingv2.HorizontalPodAutoscaler) {
	optional.Default(&h.Spec.MinReplicas, 1)
	if len(h.Spec.Metrics) == 0 {
		h.Spec.Metrics = []autoscalingv2.MetricSpec{cpuMetric(defaultUtilization)}
	}
	if b := h.Spec.Behavior; b != nil {
		b.ScaleUp = scaleUp(b.ScaleUp)
		b.ScaleDown = scaleDown(b.ScaleDown)
	}
}

func cpuMetric(utilization int32) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{
		Type: autoscalingv2.ResourceMetricSourceType,
		Resource: &autoscalingv2.ResourceMetricSource{Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{
			Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &utilization,
		}},
	}
}

func scaleUp(r *autoscalingv2.HPAScalingRules) *autoscalingv2.HPAScalingRules {
	out := rulesOr(r, []autoscalingv2.HPAScalingPolicy{
		{Type: autoscalingv2.PodsScalingPolicy, Value: 4, PeriodSeconds: 15},
		{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15},
	})
	optional.Default(&out.StabilizationWindowSeconds, 0)
	return out
}

func scaleDown(r *autoscalingv2.HPAScalingRules) *autoscalingv2.HPAScalingRules {
	return rulesOr(r, []autoscalingv2.HPAScalingPolicy{
		{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15},
	})
}

// rulesOr fills what is unset; an empty list of policies is a mistake and
// stays one.
func rulesOr(r *autoscalingv2.HPAScalingRules, policies []autoscalingv2.HPAScalingPolicy) *autoscalingv2.HPAScalingRules {
	if r == nil {
		r = &autoscalingv2.HPAScalingRules{}
	}
	optional.Default(&r.SelectPolicy, autoscalingv2.MaxChangePolicySelect)
	if r.Policies == nil {
		r.Policies = policies
	}
	return r
}

// defaultOlder is the v1 form of the defaults: CPU counts where no annotation
// names another metric.
func defaultOlder(h *autoscalingv1.HorizontalPodAutoscaler) {
	optional.Default(&h.Spec.MinReplicas, 1)
	if h.Spec.TargetCPUUtilizationPercentage == nil && len(toV2(h).Spec.Metrics) == 0 {
		optional.Default(&h.Spec.TargetCPUUtilizationPercentage, defaultUtilization)
	}
}
