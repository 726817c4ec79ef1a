package daemonset

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/controller/internal/podwrite"
)

const (
	hashLabel = appsv1.DefaultDaemonSetUniqueLabelKey
	// generationLabel is how old clients tell pods of templates apart.
	generationLabel = "pod-template-generation"
)

func gvk() schema.GroupVersionKind { return appsv1.SchemeGroupVersion.WithKind("DaemonSet") }

// newPod is the DaemonSet's pod for a node.
func newPod(ds *appsv1.DaemonSet, hash, node string) *corev1.Pod {
	pod := podwrite.New(ds, gvk(), &ds.Spec.Template)
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[hashLabel] = hash
	if n, ok := ds.Annotations[appsv1.DeprecatedTemplateGeneration]; ok {
		pod.Labels[generationLabel] = n
	}
	pod.Spec.Tolerations = tolerations(&ds.Spec.Template.Spec)
	pod.Spec.Affinity = pin(pod.Spec.Affinity, node)
	return pod
}

// current tells whether a pod is of the DaemonSet's present template.
func current(ds *appsv1.DaemonSet, hash string, pod *corev1.Pod) bool {
	n, ok := ds.Annotations[appsv1.DeprecatedTemplateGeneration]
	return pod.Labels[hashLabel] == hash || ok && pod.Labels[generationLabel] == n
}
