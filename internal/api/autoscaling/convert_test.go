package autoscaling

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// whole has every source of metrics, in the form that v1 keeps.
func whole() *autoscalingv2.HorizontalPodAutoscaler {
	q := func(s string) *resource.Quantity { v := resource.MustParse(s); return &v }
	percent := int32(50)
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
	h := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: "h", Annotations: map[string]string{"k": "v"}}}
	h.Spec = autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "d"},
		MaxReplicas:    4, MinReplicas: new(int32),
		Metrics: []autoscalingv2.MetricSpec{
			{Type: "Object", Object: &autoscalingv2.ObjectMetricSource{
				DescribedObject: autoscalingv2.CrossVersionObjectReference{Kind: "Ingress", Name: "i"},
				Metric:          identifier("rps", selector), Target: autoscalingv2.MetricTarget{Type: "Value", Value: q("3")},
			}},
			{Type: "Pods", Pods: &autoscalingv2.PodsMetricSource{
				Metric: identifier("pps", nil), Target: autoscalingv2.MetricTarget{Type: "AverageValue", AverageValue: q("1k")},
			}},
			{Type: "ContainerResource", ContainerResource: &autoscalingv2.ContainerResourceMetricSource{
				Name: corev1.ResourceMemory, Container: "c", Target: shareTarget(nil, q("1Gi")),
			}},
			{Type: "External", External: &autoscalingv2.ExternalMetricSource{
				Metric: identifier("q", selector), Target: autoscalingv2.MetricTarget{Type: "Value", Value: q("30")},
			}},
			cpuMetric(percent), // comes back behind those of the annotation
		},
		Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: scaleUp(nil), ScaleDown: scaleDown(nil)},
	}
	h.Status = autoscalingv2.HorizontalPodAutoscalerStatus{
		CurrentReplicas: 1, DesiredReplicas: 2,
		CurrentMetrics: []autoscalingv2.MetricStatus{
			{Type: "Resource", Resource: &autoscalingv2.ResourceMetricStatus{
				Name: corev1.ResourceCPU, Current: autoscalingv2.MetricValueStatus{AverageUtilization: &percent, AverageValue: q("0")},
			}},
			{Type: "Pods", Pods: &autoscalingv2.PodsMetricStatus{
				Metric: identifier("pps", nil), Current: autoscalingv2.MetricValueStatus{AverageValue: q("7")},
			}},
		},
		Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: autoscalingv2.AbleToScale, Status: corev1.ConditionTrue, Reason: "r"}},
	}
	return h
}

func TestNothingIsLostOnTheWayThroughV1(t *testing.T) {
	h := whole()
	older := toV1(h)
	if older.Spec.TargetCPUUtilizationPercentage == nil || *older.Spec.TargetCPUUtilizationPercentage != 50 {
		t.Errorf("the CPU target is not in v1's field: %+v", older.Spec)
	}
	if diff := cmp.Diff(h, toV2(older)); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

func TestConversionLeavesItsInputAlone(t *testing.T) {
	h, before := whole(), whole()
	older := toV1(h)
	copied := older.DeepCopy()
	toV2(older)
	if diff := cmp.Diff(before, h); diff != "" {
		t.Errorf("v2 was changed: %s", diff)
	}
	if diff := cmp.Diff(copied, older); diff != "" {
		t.Errorf("v1 was changed: %s", diff)
	}
}

func TestBrokenAnnotationCountsAsNone(t *testing.T) {
	older := toV1(whole())
	older.Annotations = map[string]string{metricsAnnotation: "{", behaviorAnnotation: "[", "k": "v"}
	h := toV2(older)
	if len(h.Spec.Metrics) != 1 || h.Spec.Behavior != nil || len(h.Annotations) != 1 {
		t.Errorf("got %+v with annotations %v", h.Spec, h.Annotations)
	}
}

func TestTargetsCell(t *testing.T) {
	h := whole()
	last := len(h.Spec.Metrics) - 1
	metrics := append([]autoscalingv2.MetricSpec{h.Spec.Metrics[last]}, h.Spec.Metrics[:last]...)
	got := targets(metrics, h.Status.CurrentMetrics)
	if want := "cpu: 50%/50%, <unknown>/3 + 3 more..."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
