package autoscaler

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var epoch = time.Unix(1_700_000_000, 0)

func ptr[T any](v T) *T { return &v }

func cpuTarget(share int32) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
		Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &share},
	}}
}

func hpaOf(least, most int32, metrics ...autoscalingv2.MetricSpec) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "h"},
		Spec:       autoscalingv2.HorizontalPodAutoscalerSpec{MinReplicas: &least, MaxReplicas: most, Metrics: metrics},
	}
}

// running is a pod that requests 100m and has been ready for an hour.
func running(name string) *corev1.Pod {
	then := metav1.NewTime(epoch.Add(-time.Hour))
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")},
		}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &then, Conditions: []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: then},
		}},
	}
}

// of is an input with that many running pods, each of which uses value.
func of(hpa *autoscalingv2.HorizontalPodAutoscaler, n int32, value int64) input {
	in := input{hpa: hpa, current: n, observed: n, now: epoch, readings: []reading{{pods: map[string]sample{}}}}
	for i := range n {
		name := fmt.Sprintf("p%d", i)
		in.pods = append(in.pods, running(name))
		in.readings[0].pods[name] = sample{value: value, at: epoch, window: time.Minute}
	}
	return in
}

func reasonOf(p plan, typ autoscalingv2.HorizontalPodAutoscalerConditionType) string {
	for _, c := range p.status.Conditions {
		if c.Type == typ {
			return c.Reason
		}
	}
	return ""
}

func TestNumberFollowsUse(t *testing.T) {
	pending := func(in *input) { in.pods[0].Status.Phase = corev1.PodPending; delete(in.readings[0].pods, "p0") }
	missing := func(in *input) { delete(in.readings[0].pods, "p0") }
	fresh := func(in *input) {
		in.pods[0].Status.StartTime = ptr(metav1.NewTime(epoch.Add(-time.Minute)))
		in.pods[0].Status.Conditions[0].Status = corev1.ConditionFalse
	}
	for _, c := range []struct {
		name    string
		pods    int32
		use     int64 // of 100m requested, with a target of 50 %
		change  func(*input)
		want    int32
		limited string
	}{
		{"on target", 3, 50, nil, 3, "DesiredWithinRange"},
		{"within the tolerance", 10, 55, nil, 10, "DesiredWithinRange"},
		{"above the tolerance", 10, 56, nil, 12, "DesiredWithinRange"},
		{"twice the target", 2, 100, nil, 4, "DesiredWithinRange"},
		{"too fast", 3, 500, nil, 6, "ScaleUpLimit"},
		{"above the maximum", 10, 150, nil, 15, "TooManyReplicas"},
		{"below the target, nothing before", 4, 25, nil, 4, "DesiredWithinRange"},
		{"a pod that pends counts as idle when growing", 4, 100, pending, 6, "DesiredWithinRange"},
		{"a pod without a sample counts as idle when growing", 4, 100, missing, 6, "DesiredWithinRange"},
		{"a pod that starts counts as idle when growing", 4, 100, fresh, 6, "DesiredWithinRange"},
		{"a pod that goes does not count", 4, 75, func(in *input) { in.pods[0].DeletionTimestamp = ptr(metav1.NewTime(epoch)) }, 5, "DesiredWithinRange"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := of(hpaOf(1, 15, cpuTarget(50)), c.pods, c.use)
			if c.change != nil {
				c.change(&in)
			}
			p := next(in)
			if p.desired != c.want || reasonOf(p, autoscalingv2.ScalingLimited) != c.limited {
				t.Errorf("%d replicas (%s), want %d (%s)", p.desired, reasonOf(p, autoscalingv2.ScalingLimited), c.want, c.limited)
			}
			if p.rescale != (p.desired != c.pods) || reasonOf(p, autoscalingv2.ScalingActive) != "ValidMetricFound" {
				t.Errorf("rescale %v, %q", p.rescale, reasonOf(p, autoscalingv2.ScalingActive))
			}
		})
	}
}

func TestMissingPodsHoldAgainstShrinking(t *testing.T) {
	in := of(hpaOf(1, 15, cpuTarget(50)), 4, 40)
	in.past = history{recommended: []recommendation{{1, epoch.Add(-time.Second)}}}
	delete(in.readings[0].pods, "p0")
	if p := next(in); p.desired != 4 {
		t.Errorf("a pod that nothing is known of: %d replicas", p.desired)
	}
	in.readings[0].pods["p0"] = sample{value: 20, at: epoch}
	if p := next(in); p.desired != 3 || p.reason != "All metrics below target" {
		t.Errorf("all known: %d replicas: %s", p.desired, p.reason)
	}
}

func TestShrinkingWaitsForTheWindow(t *testing.T) {
	in := of(hpaOf(1, 15, cpuTarget(50)), 8, 25)
	p := next(in)
	if p.desired != 8 || reasonOf(p, autoscalingv2.AbleToScale) != "ScaleDownStabilized" {
		t.Errorf("at once: %d, %s", p.desired, reasonOf(p, autoscalingv2.AbleToScale))
	}
	in.past, in.now = p.past, epoch.Add(downWindow+time.Second)
	if p = next(in); p.desired != 4 || reasonOf(p, autoscalingv2.AbleToScale) != "ReadyForNewScale" {
		t.Errorf("after the window: %d, %s", p.desired, reasonOf(p, autoscalingv2.AbleToScale))
	}
}

func TestLimitsComeBeforeMetrics(t *testing.T) {
	for _, c := range []struct {
		current, want int32
		reason        string
	}{
		{0, 0, ""},
		{1, 2, "Current number of replicas below Spec.MinReplicas"},
		{9, 5, "Current number of replicas above Spec.MaxReplicas"},
	} {
		p := next(input{hpa: hpaOf(2, 5, cpuTarget(50)), current: c.current, now: epoch})
		if p.desired != c.want || p.reason != c.reason || p.rescale != (c.want != c.current) {
			t.Errorf("of %d: %d, %q", c.current, p.desired, p.reason)
		}
	}
	p := next(input{hpa: hpaOf(2, 5, cpuTarget(50)), now: epoch})
	if got := reasonOf(p, autoscalingv2.ScalingActive); got != "ScalingDisabled" {
		t.Errorf("of none: %s", got)
	}
}

func TestBehaviourBoundsTheSpeed(t *testing.T) {
	rules := func(choose autoscalingv2.ScalingPolicySelect, policies ...autoscalingv2.HPAScalingPolicy) *autoscalingv2.HPAScalingRules {
		return &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: ptr(int32(0)), SelectPolicy: &choose, Policies: policies}
	}
	pods := autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PodsScalingPolicy, Value: 3, PeriodSeconds: 60}
	percent := autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PercentScalingPolicy, Value: 10, PeriodSeconds: 60}
	for _, c := range []struct {
		name  string
		rules *autoscalingv2.HPAScalingRules
		use   int64
		past  []change
		want  int32
	}{
		{"up by pods", rules(autoscalingv2.MaxChangePolicySelect, pods, percent), 500, nil, 23},
		{"up by per cent", rules(autoscalingv2.MinChangePolicySelect, pods, percent), 500, nil, 22},
		{"up, some of it done", rules(autoscalingv2.MaxChangePolicySelect, pods), 500, []change{{2, epoch.Add(-30 * time.Second)}}, 21},
		{"up, done before the period", rules(autoscalingv2.MaxChangePolicySelect, pods), 500, []change{{2, epoch.Add(-61 * time.Second)}}, 23},
		{"up, all of it done", rules(autoscalingv2.MaxChangePolicySelect, pods), 500, []change{{5, epoch.Add(-time.Second)}}, 20},
		{"up, disabled", rules(autoscalingv2.DisabledPolicySelect, pods), 500, nil, 20},
		{"down by pods", rules(autoscalingv2.MaxChangePolicySelect, pods, percent), 1, nil, 17},
		{"down by per cent", rules(autoscalingv2.MinChangePolicySelect, pods, percent), 1, nil, 18},
		{"down, disabled", rules(autoscalingv2.DisabledPolicySelect, pods), 1, nil, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := of(hpaOf(1, 100, cpuTarget(50)), 20, c.use)
			in.hpa.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: c.rules, ScaleDown: c.rules}
			in.past.changes = c.past
			if p := next(in); p.desired != c.want {
				t.Errorf("%d replicas, want %d", p.desired, c.want)
			}
		})
	}
}

func TestOtherMetrics(t *testing.T) {
	two := resource.MustParse("2")
	whole := autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: &two}
	each := autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: &two}
	id := autoscalingv2.MetricIdentifier{Name: "q"}
	ingress := autoscalingv2.CrossVersionObjectReference{Kind: "Ingress", Name: "i"}
	for _, c := range []struct {
		name   string
		spec   autoscalingv2.MetricSpec
		want   int32
		reason string
	}{
		{"pods", autoscalingv2.MetricSpec{Type: autoscalingv2.PodsMetricSourceType, Pods: &autoscalingv2.PodsMetricSource{Metric: id, Target: each}}, 6, "pods metric q above target"},
		{"object", autoscalingv2.MetricSpec{Type: autoscalingv2.ObjectMetricSourceType, Object: &autoscalingv2.ObjectMetricSource{Metric: id, Target: whole, DescribedObject: ingress}}, 8, "Ingress metric q above target"},
		{"object, each", autoscalingv2.MetricSpec{Type: autoscalingv2.ObjectMetricSourceType, Object: &autoscalingv2.ObjectMetricSource{Metric: id, Target: each, DescribedObject: ingress}}, 2, "All metrics below target"},
		{"external", autoscalingv2.MetricSpec{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{Metric: id, Target: whole}}, 8, "external metric q(nil) above target"},
		{"external, each", autoscalingv2.MetricSpec{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{Metric: id, Target: each}}, 2, "All metrics below target"},
		{"container", autoscalingv2.MetricSpec{Type: autoscalingv2.ContainerResourceMetricSourceType, ContainerResource: &autoscalingv2.ContainerResourceMetricSource{
			Name: corev1.ResourceCPU, Container: "c", Target: autoscalingv2.MetricTarget{AverageValue: &two},
		}}, 6, "cpu resource above target"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := of(hpaOf(1, 15, c.spec), 4, 3000)
			in.past = history{recommended: []recommendation{{1, epoch.Add(-time.Second)}}}
			in.readings[0].values = []int64{1500, 2500} // 4, or 1 for each pod
			if p := next(in); p.desired != c.want || p.reason != c.reason {
				t.Errorf("%d replicas (%s), want %d (%s): %v", p.desired, p.reason, c.want, c.reason, p.events)
			}
		})
	}
}

func TestFailedMetricHoldsAgainstShrinkingOnly(t *testing.T) {
	broken := reading{err: errors.New("no metrics returned from resource metrics API")}
	in := of(hpaOf(1, 15, cpuTarget(50), cpuTarget(50)), 4, 100)
	in.readings = append(in.readings, broken)
	if p := next(in); p.desired != 8 || !p.rescale {
		t.Errorf("growing: %d", p.desired)
	}
	in = of(in.hpa, 4, 10)
	in.past = history{recommended: []recommendation{{1, epoch.Add(-time.Second)}}}
	in.readings = append(in.readings, broken)
	p := next(in)
	if p.desired != 4 || p.rescale {
		t.Errorf("shrinking: %d", p.desired)
	}
	const cause = "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API"
	want := []event{
		{corev1.EventTypeWarning, "FailedGetResourceMetric", cause},
		{corev1.EventTypeWarning, "FailedComputeMetricsReplicas", "invalid metrics (1 invalid out of 2), first error is: failed to get cpu resource metric value: " + cause},
	}
	if diff := cmp.Diff(want, p.events, cmp.AllowUnexported(event{})); diff != "" {
		t.Error(diff)
	}
	if got := reasonOf(p, autoscalingv2.ScalingActive); got != "FailedGetResourceMetric" {
		t.Error("the condition says ", got)
	}
}
