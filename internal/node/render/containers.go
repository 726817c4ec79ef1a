package render

import (
	"iter"

	corev1 "k8s.io/api/core/v1"
)

// Containers walks every container of a pod: init containers, containers,
// ephemeral containers.
func Containers(pod *corev1.Pod) iter.Seq[*corev1.Container] {
	return func(yield func(*corev1.Container) bool) {
		for i := range pod.Spec.InitContainers {
			if !yield(&pod.Spec.InitContainers[i]) {
				return
			}
		}
		for i := range pod.Spec.Containers {
			if !yield(&pod.Spec.Containers[i]) {
				return
			}
		}
		for i := range pod.Spec.EphemeralContainers {
			if !yield((*corev1.Container)(&pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)) {
				return
			}
		}
	}
}

// Find is the container of that name, or nil.
func Find(pod *corev1.Pod, name string) *corev1.Container {
	for c := range Containers(pod) {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// IsSidecar tells init containers that go on running beside the pod's
// containers (KEP-753).
func IsSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}
