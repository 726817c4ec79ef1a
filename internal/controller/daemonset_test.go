package controller_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// spread waits until a DaemonSet's pods are up to date and available on so
// many nodes.
func spread(t *testing.T, c *testkit.Cluster, name string, nodes int32) {
	t.Helper()
	await.Until(t, soon, "daemon set "+name+" is on its nodes", func() bool {
		ds, ok := get[*appsv1.DaemonSet](t, c, "default", name)
		s := ds.Status
		return ok && s.ObservedGeneration == ds.Generation && s.DesiredNumberScheduled == nodes && s.CurrentNumberScheduled == nodes &&
			s.UpdatedNumberScheduled == nodes && s.NumberAvailable == nodes && s.NumberReady == nodes && s.NumberUnavailable == 0 && s.NumberMisscheduled == 0
	})
}

func TestDaemonSetLife(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 3, CheckMutation: true})
	create(t, c, &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "agent"},
		Spec:       appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labelsOf("agent")}, Template: deployment("agent", 1).Spec.Template},
	})
	spread(t, c, "agent", 3)
	on := map[string]bool{}
	for _, pod := range list[*corev1.Pod](t, c, "default", labelsOf("agent")) {
		on[pod.Spec.NodeName] = true
		if pod.Labels["controller-revision-hash"] == "" || pod.Labels["pod-template-generation"] != "1" || !strings.HasPrefix(pod.Name, "agent-") {
			t.Errorf("%s: labels %v", pod.Name, pod.Labels)
		}
	}
	if len(on) != 3 {
		t.Errorf("pods are on %v", on)
	}
	edit(t, c, "default", "agent", func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Containers[0].Image = "example/image:2" })
	spread(t, c, "agent", 3)
	for _, pod := range list[*corev1.Pod](t, c, "default", labelsOf("agent")) {
		if pod.Spec.Containers[0].Image != "example/image:2" {
			t.Errorf("%s runs %s", pod.Name, pod.Spec.Containers[0].Image)
		}
	}
	if n := len(list[*appsv1.ControllerRevision](t, c, "default", labelsOf("agent"))); n != 2 {
		t.Errorf("%d revisions, want 2", n)
	}
	edit(t, c, "", "node-0", func(n *corev1.Node) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "mine", Effect: corev1.TaintEffectNoExecute})
	})
	spread(t, c, "agent", 2)
	edit(t, c, "", "node-0", func(n *corev1.Node) { n.Spec.Taints = nil })
	spread(t, c, "agent", 3)
	remove[*appsv1.DaemonSet](t, c, "default", "agent", metav1.DeletePropagationForeground)
	gone[*appsv1.DaemonSet](t, c, "default", "agent")
}
