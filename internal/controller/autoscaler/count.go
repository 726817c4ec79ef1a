package autoscaler

import (
	"fmt"
	"maps"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"

	"github.com/knarr-io/knarr/internal/controller/internal/pods"
)

const (
	// starting is how long the CPU of a new pod counts only while it is ready.
	starting = 5 * time.Minute
	// neverReady bounds how soon after its start a pod became unready that is
	// taken as one that was never ready.
	neverReady = 30 * time.Second
)

// sample is a metric's value for one pod, in thousandths.
type sample struct {
	value  int64
	at     time.Time
	window time.Duration
}

// census sorts a target's pods by what is known of them.
type census struct {
	ready            int
	values           map[string]int64 // of pods that count, by name
	unready, missing []string
}

// take makes the census. Of CPU, samples of pods that still start are left out.
func take(all []*corev1.Pod, samples map[string]sample, cpu bool, now time.Time) census {
	c := census{values: map[string]int64{}}
	for name, s := range samples {
		c.values[name] = s.value
	}
	for _, pod := range all {
		s, known := samples[pod.Name]
		switch {
		case pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed:
			delete(c.values, pod.Name)
		case pod.Status.Phase == corev1.PodPending || known && cpu && starts(pod, s, now):
			c.unready = append(c.unready, pod.Name)
			delete(c.values, pod.Name)
		case !known:
			c.missing = append(c.missing, pod.Name)
		default:
			c.ready++
		}
	}
	return c
}

// starts tells whether a sample shows a pod's start instead of its work.
func starts(pod *corev1.Pod, s sample, now time.Time) bool {
	ready := pods.Condition(pod, corev1.PodReady)
	if ready == nil || pod.Status.StartTime == nil {
		return true
	}
	begun, turned, isNot := pod.Status.StartTime.Time, ready.LastTransitionTime.Time, ready.Status == corev1.ConditionFalse
	if begun.Add(starting).After(now) {
		return isNot || s.at.Before(turned.Add(s.window))
	}
	return isNot && begun.Add(neverReady).After(turned)
}

// tolerance is how far a ratio may be from one without a change.
type tolerance struct{ up, down float64 }

func toleranceOf(hpa *autoscalingv2.HorizontalPodAutoscaler) tolerance {
	const otherwise = 0.1
	t := tolerance{up: otherwise, down: otherwise}
	if b := hpa.Spec.Behavior; b != nil {
		if b.ScaleUp != nil && b.ScaleUp.Tolerance != nil {
			t.up = b.ScaleUp.Tolerance.AsApproximateFloat64()
		}
		if b.ScaleDown != nil && b.ScaleDown.Tolerance != nil {
			t.down = b.ScaleDown.Tolerance.AsApproximateFloat64()
		}
	}
	return t
}

func (t tolerance) holds(ratio float64) bool { return ratio >= 1-t.down && ratio <= 1+t.up }

// replicas is the number at which the ratio of use to target would be one.
// Where something of the pods is not known, it is taken against the change:
// missing ones use standIn when it would shrink, nothing when it would grow.
func (c census) replicas(current int32, t tolerance, ratioOf func(map[string]int64) float64, standIn func(pod string) int64) int32 {
	ratio := ratioOf(c.values)
	fillUnready := ratio > 1 && len(c.unready) > 0
	if len(c.missing) == 0 && !fillUnready {
		if t.holds(ratio) {
			return current
		}
		return toReplicas(ratio * float64(c.ready))
	}
	values := maps.Clone(c.values)
	for _, pod := range c.missing {
		if ratio < 1 {
			values[pod] = standIn(pod)
		} else if ratio > 1 {
			values[pod] = 0
		}
	}
	if fillUnready {
		for _, pod := range c.unready {
			values[pod] = 0
		}
	}
	careful := ratioOf(values)
	turned := ratio < 1 && careful > 1 || ratio > 1 && careful < 1
	if turned || t.holds(careful) {
		return current
	}
	n := toReplicas(careful * float64(len(values)))
	if careful < 1 && n > current || careful > 1 && n < current {
		return current
	}
	return n
}

// requests are what the pods request of a resource, or one container of each.
func requests(all []*corev1.Pod, name corev1.ResourceName, container string) (map[string]int64, error) {
	out := make(map[string]int64, len(all))
	for _, pod := range all {
		var err error
		if container == "" && resource.IsPodLevelRequestsSet(pod) {
			q, ok := resource.PodRequests(pod, resource.PodResourcesOptions{})[name]
			if !ok {
				return nil, fmt.Errorf("missing pod-level request for %s in Pod %s", name, pod.Name)
			}
			out[pod.Name] = q.MilliValue()
		} else if out[pod.Name], err = containerRequests(pod, name, container); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// containerRequests adds up the containers that run as long as the pod does.
func containerRequests(pod *corev1.Pod, name corev1.ResourceName, container string) (total int64, err error) {
	found := container == ""
	add := func(c *corev1.Container) {
		if err != nil || container != "" && c.Name != container {
			return
		}
		found = true
		q, ok := c.Resources.Requests[name]
		if !ok {
			err = fmt.Errorf("missing request for %s in container %s of Pod %s", name, c.Name, pod.Name)
		}
		total += q.MilliValue()
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i])
	}
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	if err == nil && !found {
		err = fmt.Errorf("container %s not found in Pod %s", container, pod.Name)
	}
	return total, err
}
