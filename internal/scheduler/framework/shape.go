package framework

import corev1 "k8s.io/api/core/v1"

// Shape is the same for pods of which Local filters and preemption say the
// same; empty where that is not known.
func Shape(pod *corev1.Pod) string {
	spec := &pod.Spec
	like := corev1.PodSpec{
		NodeName: spec.NodeName, NodeSelector: spec.NodeSelector, Tolerations: spec.Tolerations, Overhead: spec.Overhead,
		Resources: spec.Resources, Priority: spec.Priority, Containers: demands(spec.Containers), InitContainers: demands(spec.InitContainers),
	}
	if spec.Affinity != nil {
		like.Affinity = &corev1.Affinity{NodeAffinity: spec.Affinity.NodeAffinity}
	}
	data, err := like.Marshal()
	if err != nil {
		return ""
	}
	return string(data)
}

// demands are containers with what nodes are asked for and nothing else.
func demands(containers []corev1.Container) []corev1.Container {
	var out []corev1.Container
	for i := range containers {
		c := &containers[i]
		out = append(out, corev1.Container{Resources: c.Resources, Ports: c.Ports, RestartPolicy: c.RestartPolicy})
	}
	return out
}
