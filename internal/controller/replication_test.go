package controller_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/testkit"
)

func TestReplicationControllerLife(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 1, CheckMutation: true})
	three := int32(3)
	template := deployment("web", 1).Spec.Template
	create(t, c, &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       corev1.ReplicationControllerSpec{Replicas: &three, Selector: labelsOf("web"), Template: &template},
	})
	ready := func(n int32) {
		t.Helper()
		testkit.Eventually(t, soon, "the pods are counted", func() bool {
			rc, _ := get[*corev1.ReplicationController](t, c, "default", "web")
			s := rc.Status
			return s.Replicas == n && s.ReadyReplicas == n && s.AvailableReplicas == n && s.FullyLabeledReplicas == n && s.ObservedGeneration == rc.Generation
		})
	}
	ready(3)
	lost := list[*corev1.Pod](t, c, "default", labelsOf("web"))[0]
	if ref := metav1.GetControllerOf(lost); ref == nil || ref.APIVersion != "v1" || ref.Kind != "ReplicationController" {
		t.Errorf("the pod's controller: %v", ref)
	}
	remove[*corev1.Pod](t, c, "default", lost.Name, metav1.DeletePropagationBackground)
	gone[*corev1.Pod](t, c, "default", lost.Name)
	ready(3)
	edit(t, c, "default", "web", func(rc *corev1.ReplicationController) { *rc.Spec.Replicas = 1 })
	ready(1)
	remove[*corev1.ReplicationController](t, c, "default", "web", metav1.DeletePropagationForeground)
	gone[*corev1.ReplicationController](t, c, "default", "web")
}
