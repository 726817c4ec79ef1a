package scheduler_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
)

func createPod(t *testing.T, c *testkit.Cluster, name, cpu, class string) {
	t.Helper()
	_, err := client.For[*corev1.Pod](c.Admin).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.PodSpec{PriorityClassName: class, Containers: []corev1.Container{{
			Name: "c", Image: "example/image:1",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPreemptionOnARealServer: on one node of 32 CPUs, a pod of a class takes
// the place of one without.
func TestPreemptionOnARealServer(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 1, CheckMutation: true, Verbose: testing.Verbose()})
	pods := client.InformerFor[*corev1.Pod](c.Informers)
	events := client.InformerFor[*corev1.Event](c.Informers)
	_, err := client.For[*schedulingv1.PriorityClass](c.Admin).Create(t.Context(), &schedulingv1.PriorityClass{
		ObjectMeta: metav1.ObjectMeta{Name: "high"}, Value: 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := events.WaitSynced(t.Context()); err != nil {
		t.Fatal(err)
	}
	createPod(t, c, "low", "30", "")
	testkit.Eventually(t, 20*time.Second, "the low pod runs", running(pods, "low"))
	createPod(t, c, "high", "20", "high")
	testkit.Eventually(t, 20*time.Second, "the high pod runs", running(pods, "high"))
	if _, there := pods.Get("default", "low"); there {
		t.Error("the low pod is still there")
	}
	testkit.Eventually(t, 10*time.Second, "the victim's event", func() bool {
		for _, e := range events.List("default", nil) {
			if e.Reason == "Preempted" && e.InvolvedObject.Name == "low" {
				return true
			}
		}
		return false
	})
	createPod(t, c, "late", "30", "")
	testkit.Eventually(t, 10*time.Second, "the late pod tells why it waits", func() bool {
		p, ok := pods.Get("default", "late")
		if !ok {
			return false
		}
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled {
				return c.Message == "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
			}
		}
		return false
	})
}

func running(pods *client.Informer[*corev1.Pod], name string) func() bool {
	return func() bool {
		p, ok := pods.Get("default", name)
		return ok && p.Status.Phase == corev1.PodRunning
	}
}
