package autoscaling

import (
	"encoding/json"
	"maps"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// Annotations in which v1 shows what it has no field for, as JSON.
const (
	metricsAnnotation        = "autoscaling.alpha.kubernetes.io/metrics"
	currentMetricsAnnotation = "autoscaling.alpha.kubernetes.io/current-metrics"
	conditionsAnnotation     = "autoscaling.alpha.kubernetes.io/conditions"
	behaviorAnnotation       = "autoscaling.alpha.kubernetes.io/behavior"
)

func fromStored(obj api.Object) api.Object { return toV1(obj.(*autoscalingv2.HorizontalPodAutoscaler)) }

func toStored(obj api.Object) api.Object { return toV2(obj.(*autoscalingv1.HorizontalPodAutoscaler)) }

// toV2 reads the annotations back into fields; one that is no JSON is dropped.
// The result shares no memory with h that either may change.
func toV2(h *autoscalingv1.HorizontalPodAutoscaler) *autoscalingv2.HorizontalPodAutoscaler {
	h = h.DeepCopy()
	out := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: h.ObjectMeta}
	out.Spec = autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference(h.Spec.ScaleTargetRef),
		MinReplicas:    h.Spec.MinReplicas, MaxReplicas: h.Spec.MaxReplicas,
	}
	if h.Spec.TargetCPUUtilizationPercentage != nil {
		out.Spec.Metrics = append(out.Spec.Metrics, cpuMetric(*h.Spec.TargetCPUUtilizationPercentage))
	}
	var metrics []autoscalingv1.MetricSpec
	take(out, metricsAnnotation, &metrics)
	for i := range metrics {
		out.Spec.Metrics = append(out.Spec.Metrics, metricToV2(&metrics[i]))
	}
	take(out, behaviorAnnotation, &out.Spec.Behavior)
	out.Status = autoscalingv2.HorizontalPodAutoscalerStatus{
		ObservedGeneration: h.Status.ObservedGeneration, LastScaleTime: h.Status.LastScaleTime,
		CurrentReplicas: h.Status.CurrentReplicas, DesiredReplicas: h.Status.DesiredReplicas,
	}
	if u := h.Status.CurrentCPUUtilizationPercentage; u != nil {
		out.Status.CurrentMetrics = append(out.Status.CurrentMetrics, autoscalingv2.MetricStatus{
			Type: autoscalingv2.ResourceMetricSourceType,
			Resource: &autoscalingv2.ResourceMetricStatus{
				Name: corev1.ResourceCPU, Current: autoscalingv2.MetricValueStatus{AverageUtilization: u},
			},
		})
	}
	var current []autoscalingv1.MetricStatus
	take(out, currentMetricsAnnotation, &current)
	for i := range current {
		out.Status.CurrentMetrics = append(out.Status.CurrentMetrics, statusToV2(&current[i]))
	}
	take(out, conditionsAnnotation, &out.Status.Conditions)
	return out
}

// take moves an annotation into a field.
func take(h *autoscalingv2.HorizontalPodAutoscaler, annotation string, into any) {
	text, ok := h.Annotations[annotation]
	if !ok {
		return
	}
	delete(h.Annotations, annotation)
	if len(h.Annotations) == 0 {
		h.Annotations = nil
	}
	_ = json.Unmarshal([]byte(text), into) // as upstream: a broken annotation counts as none
}

// toV1 is the inverse of toV2.
func toV1(h *autoscalingv2.HorizontalPodAutoscaler) *autoscalingv1.HorizontalPodAutoscaler {
	h = h.DeepCopy()
	out := &autoscalingv1.HorizontalPodAutoscaler{ObjectMeta: h.ObjectMeta}
	out.Spec = autoscalingv1.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv1.CrossVersionObjectReference(h.Spec.ScaleTargetRef),
		MinReplicas:    h.Spec.MinReplicas, MaxReplicas: h.Spec.MaxReplicas,
	}
	var metrics []autoscalingv1.MetricSpec
	for i := range h.Spec.Metrics {
		m := &h.Spec.Metrics[i]
		if r := m.Resource; r != nil && r.Name == corev1.ResourceCPU && r.Target.AverageUtilization != nil &&
			out.Spec.TargetCPUUtilizationPercentage == nil {
			out.Spec.TargetCPUUtilizationPercentage = r.Target.AverageUtilization
			continue
		}
		metrics = append(metrics, metricToV1(m))
	}
	out.Status = autoscalingv1.HorizontalPodAutoscalerStatus{
		ObservedGeneration: h.Status.ObservedGeneration, LastScaleTime: h.Status.LastScaleTime,
		CurrentReplicas: h.Status.CurrentReplicas, DesiredReplicas: h.Status.DesiredReplicas,
	}
	var current []autoscalingv1.MetricStatus
	for i := range h.Status.CurrentMetrics {
		m := &h.Status.CurrentMetrics[i]
		if r := m.Resource; r != nil && r.Name == corev1.ResourceCPU && r.Current.AverageUtilization != nil &&
			out.Status.CurrentCPUUtilizationPercentage == nil {
			out.Status.CurrentCPUUtilizationPercentage = r.Current.AverageUtilization
			continue
		}
		current = append(current, statusToV1(m))
	}
	put(&out.ObjectMeta, metricsAnnotation, metrics, len(metrics) > 0)
	put(&out.ObjectMeta, currentMetricsAnnotation, current, len(current) > 0)
	put(&out.ObjectMeta, conditionsAnnotation, h.Status.Conditions, len(h.Status.Conditions) > 0)
	// Upstream writes its internal form, with Go's names.
	put(&out.ObjectMeta, behaviorAnnotation, validate.Shown(h.Spec.Behavior), h.Spec.Behavior != nil)
	return out
}

// put writes a value into an annotation.
func put(meta *metav1.ObjectMeta, annotation string, value any, present bool) {
	if !present {
		return
	}
	text, err := json.Marshal(value)
	if err != nil {
		return // API types always marshal
	}
	annotations := maps.Clone(meta.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotation] = string(text)
	meta.Annotations = annotations
}
