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

// roundTrip are the annotations that stand for fields of v2; the last two
// have been given up.
func roundTrip() []string {
	return []string{
		metricsAnnotation, currentMetricsAnnotation, conditionsAnnotation, behaviorAnnotation,
		"autoscaling.alpha.kubernetes.io/scale-up-tolerance", "autoscaling.alpha.kubernetes.io/scale-down-tolerance",
	}
}

// toV2 reads the annotations back into fields; one that is no JSON is dropped.
// The result shares no memory with h that either may change.
func toV2(h *autoscalingv1.HorizontalPodAutoscaler) *autoscalingv2.HorizontalPodAutoscaler {
	h = h.DeepCopy()
	out := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: h.ObjectMeta}
	out.Spec = autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference(h.Spec.ScaleTargetRef),
		MinReplicas:    h.Spec.MinReplicas, MaxReplicas: h.Spec.MaxReplicas,
	}
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
	readAnnotations(out)
	if u := h.Spec.TargetCPUUtilizationPercentage; u != nil {
		out.Spec.Metrics = append(out.Spec.Metrics, cpuMetric(*u))
	}
	dropRoundTrip(&out.ObjectMeta)
	return out
}

func readAnnotations(h *autoscalingv2.HorizontalPodAutoscaler) {
	var metrics []autoscalingv1.MetricSpec
	if read(h, metricsAnnotation, &metrics) {
		for i := range metrics {
			h.Spec.Metrics = append(h.Spec.Metrics, metricToV2(&metrics[i]))
		}
	}
	var behavior autoscalingv2.HorizontalPodAutoscalerBehavior
	if read(h, behaviorAnnotation, &behavior) && behavior != (autoscalingv2.HorizontalPodAutoscalerBehavior{}) {
		h.Spec.Behavior = &behavior
	}
	var current []autoscalingv1.MetricStatus
	if read(h, currentMetricsAnnotation, &current) {
		h.Status.CurrentMetrics = nil // the field of v1 knows less
		for i := range current {
			h.Status.CurrentMetrics = append(h.Status.CurrentMetrics, statusToV2(&current[i]))
		}
	}
	var conditions []autoscalingv2.HorizontalPodAutoscalerCondition
	if read(h, conditionsAnnotation, &conditions) {
		h.Status.Conditions = conditions
	}
}

// read gives what an annotation holds; false where there is none or, as
// upstream has it, a broken one.
func read(h *autoscalingv2.HorizontalPodAutoscaler, annotation string, into any) bool {
	text, ok := h.Annotations[annotation]
	return ok && json.Unmarshal([]byte(text), into) == nil
}

// dropRoundTrip changes the annotations in place.
func dropRoundTrip(meta *metav1.ObjectMeta) {
	for _, annotation := range roundTrip() {
		delete(meta.Annotations, annotation)
	}
	if len(meta.Annotations) == 0 {
		meta.Annotations = nil
	}
}

// toV1 is the inverse of toV2. The CPU's share of the status stands in a field
// and in the annotation, which has its raw value too.
func toV1(h *autoscalingv2.HorizontalPodAutoscaler) *autoscalingv1.HorizontalPodAutoscaler {
	h = h.DeepCopy()
	dropRoundTrip(&h.ObjectMeta)
	out := &autoscalingv1.HorizontalPodAutoscaler{ObjectMeta: h.ObjectMeta}
	out.Spec = autoscalingv1.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv1.CrossVersionObjectReference(h.Spec.ScaleTargetRef),
		MinReplicas:    h.Spec.MinReplicas, MaxReplicas: h.Spec.MaxReplicas,
	}
	var metrics []autoscalingv1.MetricSpec
	for i := range h.Spec.Metrics {
		m := &h.Spec.Metrics[i]
		r := m.Resource
		if m.Type != autoscalingv2.ResourceMetricSourceType || r == nil || r.Name != corev1.ResourceCPU || r.Target.AverageUtilization == nil {
			metrics = append(metrics, metricToV1(m))
		} else if out.Spec.TargetCPUUtilizationPercentage == nil {
			out.Spec.TargetCPUUtilizationPercentage = r.Target.AverageUtilization
		}
	}
	out.Status = autoscalingv1.HorizontalPodAutoscalerStatus{
		ObservedGeneration: h.Status.ObservedGeneration, LastScaleTime: h.Status.LastScaleTime,
		CurrentReplicas: h.Status.CurrentReplicas, DesiredReplicas: h.Status.DesiredReplicas,
	}
	var current []autoscalingv1.MetricStatus
	for i := range h.Status.CurrentMetrics {
		m := &h.Status.CurrentMetrics[i]
		current = append(current, statusToV1(m))
		r := m.Resource
		if m.Type == autoscalingv2.ResourceMetricSourceType && r != nil && r.Name == corev1.ResourceCPU && r.Current.AverageUtilization != nil {
			out.Status.CurrentCPUUtilizationPercentage = r.Current.AverageUtilization
		}
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
