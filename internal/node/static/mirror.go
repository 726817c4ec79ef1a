package static

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Mirror is the Pod by which the API shows a static pod; node owns it.
func Mirror(pod *corev1.Pod, node *corev1.Node) *corev1.Pod {
	yes := true
	m := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: pod.Name, Namespace: pod.Namespace, Labels: pod.Labels,
		Annotations: make(map[string]string, len(pod.Annotations)+1), Finalizers: pod.Finalizers,
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID, Controller: &yes}},
	}}
	for key, value := range pod.Annotations {
		m.Annotations[key] = value
	}
	m.Annotations[AnnotationMirror] = pod.Annotations[AnnotationHash]
	pod.Spec.DeepCopyInto(&m.Spec)
	return m
}

// IsMirror tells that a Pod of the API stands for a static pod.
func IsMirror(pod *corev1.Pod) bool {
	_, mirror := pod.Annotations[AnnotationMirror]
	return mirror
}

// Of tells whether the mirror is the static pod's, and not that of another
// manifest of the same name.
func Of(mirror, pod *corev1.Pod) bool {
	return mirror.Annotations[AnnotationMirror] == pod.Annotations[AnnotationHash]
}

// With is the static pod with what the API knows of it: the status, generation
// and resource version of its mirror (nil: none yet).
func With(pod, mirror *corev1.Pod) *corev1.Pod {
	out := *pod
	if mirror != nil {
		out.Status, out.Generation, out.ResourceVersion = mirror.Status, mirror.Generation, mirror.ResourceVersion
	}
	return &out
}
