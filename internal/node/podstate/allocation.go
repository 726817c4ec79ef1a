package podstate

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/knarr-io/knarr/internal/node/render"
)

// Allocation is what the node has granted the containers of a pod, by name, and
// the pod as a whole under wholePod (KEP-1287, KEP-5419). It is immutable; what
// it does not name has what the spec says.
type Allocation map[string]corev1.ResourceRequirements

// wholePod is where an Allocation has the pod's own resources, if it has any.
const wholePod = ""

// AllocationOf is what a pod was granted before this agent took it up: what its
// status says of containers that ran, else what the spec says.
func AllocationOf(pod *corev1.Pod) Allocation {
	out := Allocation{}
	for c := range render.Containers(pod) {
		granted := c.Resources
		s := FindStatus(&pod.Status, c.Name)
		if s != nil && s.ContainerID != "" && s.Resources != nil {
			granted = *s.Resources.DeepCopy()
			if s.AllocatedResources != nil {
				granted.Requests = s.AllocatedResources.DeepCopy()
			}
			granted.Claims = c.Resources.Claims
		}
		out[c.Name] = granted
	}
	if pod.Spec.Resources != nil {
		granted := *pod.Spec.Resources.DeepCopy()
		if s := pod.Status.Resources; s != nil {
			granted = *s.DeepCopy()
		}
		out[wholePod] = granted
	}
	return out
}

// Whole is what the pod as a whole was granted; nil where it asks for nothing
// besides what its containers ask for.
func (a Allocation) Whole(pod *corev1.Pod) *corev1.ResourceRequirements {
	if pod.Spec.Resources == nil {
		return nil
	}
	if granted, ok := a[wholePod]; ok {
		return &granted
	}
	return pod.Spec.Resources
}

// Of is what a container was granted.
func (a Allocation) Of(c *corev1.Container) corev1.ResourceRequirements {
	if granted, ok := a[c.Name]; ok {
		return granted
	}
	return c.Resources
}

// Apply is the pod with what it was granted in place of what it asks for.
func (a Allocation) Apply(pod *corev1.Pod) *corev1.Pod {
	if !a.Asks(pod) {
		return pod
	}
	out := pod.DeepCopy()
	for c := range render.Containers(out) {
		c.Resources = a.Of(c)
	}
	out.Spec.Resources = a.Whole(out).DeepCopy()
	return out
}

// Asks tells that the pod wants other resources than it was granted.
func (a Allocation) Asks(pod *corev1.Pod) bool {
	for c := range render.Containers(pod) {
		if !sameResources(a.Of(c), c.Resources) {
			return true
		}
	}
	whole := a.Whole(pod)
	return whole != nil && !sameResources(*whole, *pod.Spec.Resources)
}

func sameResources(a, b corev1.ResourceRequirements) bool {
	return equality.Semantic.DeepEqual(a.Requests, b.Requests) && equality.Semantic.DeepEqual(a.Limits, b.Limits)
}

// Pending is why a resize was not granted, of the spec of that generation.
type Pending struct {
	Reason, Message string
	Generation      int64
}

// Resize decides on a pod that asks for other resources: nil grants them.
// others are the node's other pods with what they were granted.
func Resize(pod *corev1.Pod, granted Allocation, others []*corev1.Pod, allocatable corev1.ResourceList) *Pending {
	requests := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	had := resourcehelper.PodRequests(granted.Apply(pod), resourcehelper.PodResourcesOptions{})
	used := sumOf(others)
	var deferred *Pending
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		q, capacity, before := requests[name], allocatable[name], had[name]
		if q.Cmp(before) <= 0 {
			continue // what is given back always fits
		}
		if q.Cmp(capacity) > 0 {
			return &Pending{Reason: corev1.PodReasonInfeasible, Generation: pod.Generation, Message: fmt.Sprintf(
				"Node didn't have enough capacity: %s, requested: %d, capacity: %d", name, amount(name, q), amount(name, capacity))}
		}
		free := capacity.DeepCopy()
		free.Sub(used[name])
		if deferred == nil && q.Cmp(free) > 0 {
			deferred = &Pending{Reason: corev1.PodReasonDeferred, Generation: pod.Generation, Message: fmt.Sprintf(
				"Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", name, amount(name, q), amount(name, used[name]), amount(name, capacity))}
		}
	}
	return deferred
}

// sumOf is what pods were granted together.
func sumOf(pods []*corev1.Pod) corev1.ResourceList {
	used := corev1.ResourceList{}
	for _, o := range pods {
		for name, q := range resourcehelper.PodRequests(o, resourcehelper.PodResourcesOptions{UseStatusResources: true}) {
			sum := used[name]
			sum.Add(q)
			used[name] = sum
		}
	}
	return used
}
