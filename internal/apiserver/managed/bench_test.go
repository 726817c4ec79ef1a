package managed_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/managed"
	"github.com/knarr-io/knarr/internal/apiserver/openapi"
)

// BenchmarkStatusOfAPod is what a node's report of a pod costs to be attributed.
func BenchmarkStatusOfAPod(b *testing.B) {
	docs, err := openapi.New()
	if err != nil {
		b.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		b.Fatal(err)
	}
	managers, kind := managed.New(scheme, docs), catalog.New().TypeOf(&corev1.Pod{})
	whole, err := managers.Of(kind, "")
	if err != nil {
		b.Fatal(err)
	}
	status, err := managers.Of(kind, "status")
	if err != nil {
		b.Fatal(err)
	}
	empty := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}}
	pod := empty.DeepCopy()
	pod.Name, pod.Namespace, pod.Labels = "web-1", "default", map[string]string{"app": "web"}
	pod.Spec = corev1.PodSpec{
		Containers:  []corev1.Container{{Name: "c", Image: "i", VolumeMounts: []corev1.VolumeMount{{Name: "token", MountPath: "/run"}}}},
		Volumes:     []corev1.Volume{{Name: "token", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		Tolerations: []corev1.Toleration{{Key: "a", Operator: corev1.TolerationOpExists}}, NodeName: "node-1",
	}
	live := whole.UpdateNoErrors(empty, pod, "kube-controller-manager")
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}
	live = status.UpdateNoErrors(live, pod, "kube-scheduler")
	for b.Loop() {
		next := live.DeepCopyObject().(*corev1.Pod)
		next.Status.Phase = corev1.PodRunning
		next.Status.Conditions = append(next.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
		next.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", Image: "i", Ready: true}}
		status.UpdateNoErrors(live, next, "kubelet")
	}
}
