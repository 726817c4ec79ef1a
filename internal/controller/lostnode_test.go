package controller_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// openNodes waits until so many nodes take pods: one whose taint is still to be
// taken off would leave all of them to the others.
func openNodes(t *testing.T, c *testkit.Cluster, want int) {
	t.Helper()
	await.Until(t, time.Minute, "the nodes take pods", func() bool {
		open := 0
		for _, n := range list[*corev1.Node](t, c, "", nil) {
			if len(n.Spec.Taints) == 0 {
				open++
			}
		}
		return open == want
	})
}

// TestLostNodeLosesItsPods follows a node that falls silent, in virtual time:
// after the grace period its status is unknown and its pods are out of
// service; five minutes later they are deleted and replaced elsewhere.
func TestLostNodeLosesItsPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testkit.Start(t, testkit.Options{Nodes: 2})
		openNodes(t, c, 2)
		create(t, c, deployment("web", 4))
		rolledOut(t, c, "web")
		begun := time.Now()
		c.Fleet.Silence("node-0", true)
		within := func(d time.Duration, what string, ok func() bool) time.Duration {
			t.Helper()
			await.Until(t, d, what, ok)
			return time.Since(begun)
		}
		took := within(2*time.Minute, "the node's state is unknown", func() bool {
			n, _ := get[*corev1.Node](t, c, "", "node-0")
			for _, cond := range n.Status.Conditions {
				if cond.Type == corev1.NodeReady && cond.Status == corev1.ConditionUnknown && cond.Reason == "NodeStatusUnknown" {
					return true
				}
			}
			return false
		})
		if took < 30*time.Second || took > 61*time.Second {
			t.Errorf("a silent node was given up after %s, want about 50 s after its last heartbeat", took)
		}
		within(2*time.Minute, "its pods are out of service", func() bool {
			d, _ := get[*appsv1.Deployment](t, c, "default", "web")
			return d.Status.ReadyReplicas < 4
		})
		took = within(10*time.Minute, "its pods are replaced on the other node", func() bool {
			d, _ := get[*appsv1.Deployment](t, c, "default", "web")
			return d.Status.AvailableReplicas == 4
		})
		if took < 5*time.Minute || took > 7*time.Minute {
			t.Errorf("pods were replaced after %s, want five minutes after the node was given up", took)
		}
		c.Fleet.Silence("node-0", false)
		within(15*time.Minute, "the node is ready again", func() bool {
			n, _ := get[*corev1.Node](t, c, "", "node-0")
			return len(n.Spec.Taints) == 0
		})
	})
}

// TestPodsOfADeletedNodeAreCollected: once the Node object is gone for the
// quarantine, its pods fail, go, and are replaced; its range is free again.
func TestPodsOfADeletedNodeAreCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testkit.Start(t, testkit.Options{Nodes: 2})
		openNodes(t, c, 2)
		create(t, c, deployment("web", 4))
		rolledOut(t, c, "web")
		c.Fleet.Silence("node-0", true)
		begun := time.Now()
		remove[*corev1.Node](t, c, "", "node-0", metav1.DeletePropagationBackground)
		await.Until(t, 5*time.Minute, "all pods are on the other node", func() bool {
			n := 0
			for _, pod := range list[*corev1.Pod](t, c, "default", labelsOf("web")) {
				if pod.Spec.NodeName != "node-1" {
					return false
				}
				n++
			}
			return n == 4
		})
		if took := time.Since(begun); took < 40*time.Second || took > time.Minute {
			t.Errorf("they were collected after %s, want after 40 s", took)
		}
		rolledOut(t, c, "web")
	})
}

// TestPodsOfANodeOutOfServiceGoAtOnce: a dead node's pods are being deleted,
// and nobody confirms it, until its taint says that it is out of service.
func TestPodsOfANodeOutOfServiceGoAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testkit.Start(t, testkit.Options{Nodes: 2})
		openNodes(t, c, 2)
		create(t, c, deployment("web", 4))
		rolledOut(t, c, "web")
		here := func() (n int) {
			for _, pod := range list[*corev1.Pod](t, c, "default", labelsOf("web")) {
				if pod.Spec.NodeName == "node-0" {
					n++
				}
			}
			return n
		}
		before := here()
		c.Fleet.Silence("node-0", true)
		await.Until(t, 10*time.Minute, "the lost node's pods are being deleted", func() bool {
			for _, pod := range list[*corev1.Pod](t, c, "default", labelsOf("web")) {
				if pod.Spec.NodeName == "node-0" && pod.DeletionTimestamp == nil {
					return false
				}
			}
			return true
		})
		if left := here(); left != before || before == 0 {
			t.Fatalf("%d of %d pods are left before anybody vouches for their end", left, before)
		}
		edit(t, c, "", "node-0", func(n *corev1.Node) {
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeOutOfService, Value: "nodeshutdown", Effect: corev1.TaintEffectNoExecute})
		})
		await.Until(t, time.Minute, "they are gone", func() bool { return here() == 0 })
		rolledOut(t, c, "web")
	})
}

// TestDeadNodesAreEmptiedOnceOthersAreDeleted: of a small zone in which most
// nodes are lost, the pods stay, until somebody deletes a dead Node and the zone
// is no longer disrupted.
func TestDeadNodesAreEmptiedOnceOthersAreDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testkit.Start(t, testkit.Options{Nodes: 4})
		openNodes(t, c, 4)
		tainted := func(effect corev1.TaintEffect) (names []string) {
			for _, n := range list[*corev1.Node](t, c, "", nil) {
				if slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeUnreachable && t.Effect == effect }) {
					names = append(names, n.Name)
				}
			}
			return names
		}
		for _, name := range []string{"node-0", "node-1", "node-2"} {
			c.Fleet.Silence(name, true)
		}
		await.Until(t, 2*time.Minute, "three nodes are lost", func() bool { return len(tainted(corev1.TaintEffectNoSchedule)) == 3 })
		synctest.Wait()
		emptied := tainted(corev1.TaintEffectNoExecute)
		if len(emptied) == 3 {
			t.Fatalf("nodes %v are emptied, want at most those that were lost first", emptied)
		}
		remove[*corev1.Node](t, c, "", "node-0", metav1.DeletePropagationBackground)
		await.Until(t, time.Minute, "all that is left of them is emptied, too", func() bool { return len(tainted(corev1.TaintEffectNoExecute)) == 2 })
	})
}
