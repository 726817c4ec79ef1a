package framework

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	helpers "k8s.io/component-helpers/resource"
)

// Requests assumed for scoring where a container names none.
const (
	defaultMilliCPU = 100
	defaultMemory   = 200 << 20
)

// Resource is an amount of everything that is counted.
type Resource struct {
	MilliCPU, Memory, Ephemeral int64
	// Scalars are extended resources and huge pages; nil for none.
	Scalars map[corev1.ResourceName]int64
}

// ResourceOf counts a list.
func ResourceOf(list corev1.ResourceList) Resource {
	var r Resource
	for name, q := range list {
		switch name {
		case corev1.ResourceCPU:
			r.MilliCPU = q.MilliValue()
		case corev1.ResourceMemory:
			r.Memory = q.Value()
		case corev1.ResourceEphemeralStorage:
			r.Ephemeral = q.Value()
		case corev1.ResourcePods:
		default:
			if r.Scalars == nil {
				r.Scalars = make(map[corev1.ResourceName]int64)
			}
			r.Scalars[name] = q.Value()
		}
	}
	return r
}

// Add counts other in, times sign (1 or -1).
func (r *Resource) Add(other *Resource, sign int64) {
	r.MilliCPU += sign * other.MilliCPU
	r.Memory += sign * other.Memory
	r.Ephemeral += sign * other.Ephemeral
	for name, n := range other.Scalars {
		if r.Scalars == nil {
			r.Scalars = make(map[corev1.ResourceName]int64)
		}
		r.Scalars[name] += sign * n
	}
}

// requests are what a pod takes of its node: containers, init containers,
// sidecars and overhead. A resize under way counts with the larger amount.
func requests(pod *corev1.Pod) Resource {
	return ResourceOf(helpers.PodRequests(pod, helpers.PodResourcesOptions{
		UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true,
	}))
}

// scored are the requests as scores see them: a container without a request
// counts as a small one.
func scored(pod *corev1.Pod) (milliCPU, memory int64) {
	r := ResourceOf(helpers.PodRequests(pod, helpers.PodResourcesOptions{
		UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true,
		NonMissingContainerRequests: corev1.ResourceList{
			corev1.ResourceCPU:    *resource.NewMilliQuantity(defaultMilliCPU, resource.DecimalSI),
			corev1.ResourceMemory: *resource.NewQuantity(defaultMemory, resource.BinarySI),
		},
	}))
	return r.MilliCPU, r.Memory
}
