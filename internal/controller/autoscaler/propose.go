package autoscaler

import (
	"errors"
	"fmt"
	"math"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/knarr-io/knarr/internal/controller/internal/pods"
)

// reading is what a metric's source said: a sample for each pod, or values of
// something else, in thousandths.
type reading struct {
	pods   map[string]sample
	values []int64
	err    error
}

// proposal is what one metric asks for.
type proposal struct {
	replicas int32
	name     string // for people
	status   autoscalingv2.MetricStatus
}

// failure is why a number cannot be told.
type failure struct {
	reason string
	// cause is for events and conditions, whole names the metric too.
	cause, whole error
	// condition and shown are the condition's reason and message where these
	// do not follow from the others.
	condition, shown string
}

// propose asks one metric.
func propose(in input, m *autoscalingv2.MetricSpec, r reading) (proposal, *failure) {
	switch {
	case m.Type == autoscalingv2.ResourceMetricSourceType && m.Resource != nil:
		return proposeResource(in, m, r)
	case m.Type == autoscalingv2.ContainerResourceMetricSourceType && m.ContainerResource != nil:
		return proposeContainer(in, m, r)
	case m.Type == autoscalingv2.PodsMetricSourceType && m.Pods != nil && m.Pods.Target.AverageValue != nil:
		return proposePods(in, m, r)
	case m.Type == autoscalingv2.ObjectMetricSourceType && m.Object != nil:
		return proposeObject(in, m, r)
	case m.Type == autoscalingv2.ExternalMetricSourceType && m.External != nil:
		return proposeExternal(in, m, r)
	}
	err := fmt.Errorf("unknown metric source type %q", m.Type)
	return proposal{}, &failure{reason: "InvalidMetricSourceType", cause: err, whole: err}
}

func proposeResource(in input, m *autoscalingv2.MetricSpec, r reading) (proposal, *failure) {
	replicas, current, err := byResource(in, r, m.Resource.Name, "", m.Resource.Target)
	if err != nil {
		return proposal{}, &failure{reason: "FailedGetResourceMetric", cause: err,
			whole: fmt.Errorf("failed to get %s resource metric value: %w", m.Resource.Name, err)}
	}
	return proposal{replicas, resourceName(m.Resource.Name, "", m.Resource.Target), autoscalingv2.MetricStatus{
		Type: m.Type, Resource: &autoscalingv2.ResourceMetricStatus{Name: m.Resource.Name, Current: current},
	}}, nil
}

func proposeContainer(in input, m *autoscalingv2.MetricSpec, r reading) (proposal, *failure) {
	c := m.ContainerResource
	replicas, current, err := byResource(in, r, c.Name, c.Container, c.Target)
	if err != nil {
		return proposal{}, &failure{reason: "FailedGetContainerResourceMetric", cause: err,
			whole: fmt.Errorf("failed to get %s container metric value: %w", c.Container, err)}
	}
	return proposal{replicas, resourceName(c.Name, "container ", c.Target), autoscalingv2.MetricStatus{
		Type: m.Type, ContainerResource: &autoscalingv2.ContainerResourceMetricStatus{Name: c.Name, Container: c.Container, Current: current},
	}}, nil
}

func resourceName(name corev1.ResourceName, part string, target autoscalingv2.MetricTarget) string {
	if target.AverageValue != nil {
		return fmt.Sprintf("%s resource", name)
	}
	return fmt.Sprintf("%s %sresource utilization (percentage of request)", name, part)
}

// byResource compares what pods use of a resource to a value, or to what they
// request.
func byResource(in input, r reading, name corev1.ResourceName, container string, target autoscalingv2.MetricTarget) (int32, autoscalingv2.MetricValueStatus, error) {
	none := autoscalingv2.MetricValueStatus{}
	of := "utilization"
	if target.AverageValue != nil {
		of = "usage"
	} else if target.AverageUtilization == nil {
		return 0, none, errors.New("invalid resource metric source: neither an average utilization target nor an average value (usage) target was set")
	}
	if r.err != nil {
		return 0, none, fmt.Errorf("failed to get %s %s: unable to get metrics for resource %s: %w", name, of, name, r.err)
	}
	var replicas int32
	var share *int32
	var each int64
	var err error
	if target.AverageValue != nil {
		replicas, each, err = byValue(in, r.pods, target.AverageValue.MilliValue(), name == corev1.ResourceCPU)
	} else {
		share = new(int32)
		replicas, *share, each, err = byShare(in, r.pods, *target.AverageUtilization, name, container)
	}
	if err != nil {
		return 0, none, fmt.Errorf("failed to get %s %s: %w", name, of, err)
	}
	format := resource.DecimalSI
	if name == corev1.ResourceMemory {
		format = resource.BinarySI
	}
	return replicas, autoscalingv2.MetricValueStatus{AverageUtilization: share, AverageValue: resource.NewMilliQuantity(each, format)}, nil
}

// count makes the census, which must have somebody to go by.
func count(in input, samples map[string]sample, cpu bool) (census, error) {
	if len(in.pods) == 0 {
		return census{}, errors.New("no pods returned by selector while calculating replica count")
	}
	c := take(in.pods, samples, cpu, in.now)
	if len(c.values) == 0 {
		return census{}, errors.New("did not receive metrics for targeted pods (pods might be unready)")
	}
	return c, nil
}

// byValue compares the mean over pods to a target.
func byValue(in input, samples map[string]sample, target int64, cpu bool) (replicas int32, mean int64, err error) {
	c, err := count(in, samples, cpu)
	if err != nil {
		return 0, 0, err
	}
	ratio := func(values map[string]int64) float64 { return float64(meanOf(values)) / float64(target) }
	replicas = c.replicas(in.current, toleranceOf(in.hpa), ratio, func(string) int64 { return target })
	return replicas, meanOf(c.values), nil
}

func meanOf(values map[string]int64) int64 {
	var total int64
	for _, v := range values {
		total = plus(total, v)
	}
	return total / int64(max(len(values), 1))
}

// byShare compares what pods use, in per cent of what they request, to a target.
func byShare(in input, samples map[string]sample, target int32, name corev1.ResourceName, container string) (replicas, share int32, mean int64, err error) {
	c, err := count(in, samples, name == corev1.ResourceCPU)
	if err != nil {
		return 0, 0, 0, err
	}
	asked, err := requests(in.pods, name, container)
	if err != nil {
		return 0, 0, 0, err
	}
	share, mean, known := shareOf(c.values, asked)
	if !known {
		return 0, 0, 0, errors.New("no metrics returned matched known pods")
	}
	ratio := func(values map[string]int64) float64 {
		s, _, _ := shareOf(values, asked)
		return float64(s) / float64(target)
	}
	replicas = c.replicas(in.current, toleranceOf(in.hpa), ratio, func(pod string) int64 { return asked[pod] * int64(max(100, target)) / 100 })
	return replicas, share, mean, nil
}

// shareOf is use in per cent of requests, and mean use, over the pods that
// have both; false where nothing is requested.
func shareOf(values, asked map[string]int64) (share int32, mean int64, known bool) {
	var used, requested, n int64
	for pod, v := range values {
		if q, ok := asked[pod]; ok {
			used, requested, n = plus(used, v), plus(requested, q), n+1
		}
	}
	if requested == 0 {
		return 0, 0, false
	}
	percent := math.Trunc(float64(used) * 100 / float64(requested))
	return int32(max(min(percent, math.MaxInt32), 0)), used / n, true
}

// plus adds, and stays at the highest number where the sum is above it.
func plus(a, b int64) int64 {
	if b > 0 && a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func proposePods(in input, m *autoscalingv2.MetricSpec, r reading) (proposal, *failure) {
	fail := func(err error) (proposal, *failure) {
		return proposal{}, &failure{reason: "FailedGetPodsMetric", cause: err, whole: fmt.Errorf("failed to get pods metric value: %w", err)}
	}
	if r.err != nil {
		return fail(fmt.Errorf("unable to get metric %s: %w", m.Pods.Metric.Name, r.err))
	}
	replicas, mean, err := byValue(in, r.pods, m.Pods.Target.AverageValue.MilliValue(), false)
	if err != nil {
		return fail(err)
	}
	return proposal{replicas, "pods metric " + m.Pods.Metric.Name, autoscalingv2.MetricStatus{
		Type: m.Type, Pods: &autoscalingv2.PodsMetricStatus{Metric: m.Pods.Metric, Current: valueStatus(nil, &mean)},
	}}, nil
}

func proposeObject(in input, m *autoscalingv2.MetricSpec, r reading) (proposal, *failure) {
	o := m.Object
	each := o.Target.Type == autoscalingv2.AverageValueMetricType && o.Target.AverageValue != nil
	whole := o.Target.Type == autoscalingv2.ValueMetricType && o.Target.Value != nil
	var err error
	switch {
	case !each && !whole:
		err = errors.New("invalid object metric source: neither a value target nor an average value target was set")
	case r.err != nil:
		err = fmt.Errorf("unable to get metric %s: %s on %s %w/%s", o.Metric.Name, o.DescribedObject.Kind, in.hpa.Namespace, r.err, o.DescribedObject.Name)
	}
	var replicas int32
	var current autoscalingv2.MetricValueStatus
	if err == nil {
		replicas, current, err = bySum(in, r.values, o.Target, each)
	}
	if err != nil {
		full := err
		if each {
			full = fmt.Errorf("failed to get %s object metric: %w", o.Metric.Name, err)
		}
		return proposal{}, &failure{reason: "FailedGetObjectMetric", cause: err, whole: fmt.Errorf("failed to get object metric value: %w", full)}
	}
	name := fmt.Sprintf("%s metric %s", o.DescribedObject.Kind, o.Metric.Name)
	if each {
		name = fmt.Sprintf("external metric %s(%+v)", o.Metric.Name, o.Metric.Selector)
	}
	return proposal{replicas, name, autoscalingv2.MetricStatus{
		Type: m.Type, Object: &autoscalingv2.ObjectMetricStatus{Metric: o.Metric, DescribedObject: o.DescribedObject, Current: current},
	}}, nil
}

func proposeExternal(in input, m *autoscalingv2.MetricSpec, r reading) (proposal, *failure) {
	e := m.External
	each := e.Target.AverageValue != nil
	var err error
	switch {
	case !each && e.Target.Value == nil:
		err = errors.New("invalid external metric source: neither a value target nor an average value target was set")
	case r.err != nil:
		err = fmt.Errorf("unable to get external metric %s/%s/%+v: %w", in.hpa.Namespace, e.Metric.Name, e.Metric.Selector, r.err)
	}
	var replicas int32
	var current autoscalingv2.MetricValueStatus
	if err == nil {
		replicas, current, err = bySum(in, r.values, e.Target, each)
	}
	if err != nil {
		full := fmt.Errorf("failed to get external metric %s: %w", e.Metric.Name, err)
		if each {
			full = fmt.Errorf("failed to get %s external metric: %w", e.Metric.Name, err)
		}
		return proposal{}, &failure{reason: "FailedGetExternalMetric", cause: err,
			whole: fmt.Errorf("failed to get %s external metric value: %w", e.Metric.Name, full)}
	}
	return proposal{replicas, fmt.Sprintf("external metric %s(%+v)", e.Metric.Name, e.Metric.Selector), autoscalingv2.MetricStatus{
		Type: m.Type, External: &autoscalingv2.ExternalMetricStatus{Metric: e.Metric, Current: current},
	}}, nil
}

// bySum compares a value that is not of pods to the target: divided by the
// number of pods, or whole, for the pods that are ready.
func bySum(in input, values []int64, target autoscalingv2.MetricTarget, each bool) (int32, autoscalingv2.MetricValueStatus, error) {
	var total int64
	for _, v := range values {
		total = plus(total, v)
	}
	t := toleranceOf(in.hpa)
	if each {
		aim := float64(target.AverageValue.MilliValue())
		replicas := in.observed
		if !t.holds(float64(total) / (aim * float64(in.observed))) {
			replicas = toReplicas(float64(total) / aim)
		}
		mean := int64(math.Ceil(min(float64(total)/float64(max(in.observed, 1)), math.MaxInt64/2)))
		return replicas, valueStatus(nil, &mean), nil
	}
	ratio := float64(total) / float64(target.Value.MilliValue())
	if t.holds(ratio) {
		return in.current, valueStatus(&total, nil), nil
	}
	if len(in.pods) == 0 {
		return 0, autoscalingv2.MetricValueStatus{}, errors.New("unable to calculate ready pods: no pods returned by selector while calculating replica count")
	}
	ready := 0
	for _, pod := range in.pods {
		if pod.Status.Phase == corev1.PodRunning && pods.Ready(pod) {
			ready++
		}
	}
	return toReplicas(ratio * float64(ready)), valueStatus(&total, nil), nil
}

func valueStatus(whole, mean *int64) (out autoscalingv2.MetricValueStatus) {
	if whole != nil {
		out.Value = resource.NewMilliQuantity(*whole, resource.DecimalSI)
	}
	if mean != nil {
		out.AverageValue = resource.NewMilliQuantity(*mean, resource.DecimalSI)
	}
	return out
}
