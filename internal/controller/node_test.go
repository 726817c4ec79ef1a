package controller_test

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/testkit"
)

func TestNodesGetRangesOfTheirOwn(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 20, CheckMutation: true})
	var nodes []*corev1.Node
	testkit.Eventually(t, soon, "every node has a range", func() bool {
		nodes = list[*corev1.Node](t, c, "", nil)
		for _, n := range nodes {
			if n.Spec.PodCIDR == "" {
				return false
			}
		}
		return len(nodes) == 20
	})
	seen := map[string]string{}
	for _, n := range nodes {
		p := netip.MustParsePrefix(n.Spec.PodCIDR)
		if p.Bits() != 24 || seen[p.String()] != "" || len(n.Spec.PodCIDRs) != 1 {
			t.Errorf("%s has %s, as %s", n.Name, p, seen[p.String()])
		}
		seen[p.String()] = n.Name
	}
}

func TestUnschedulablePodSaysWhyAndRunsOnceItCan(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 2, CheckMutation: true})
	pod := create(t, c, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"},
		Spec: corev1.PodSpec{
			NodeSelector: map[string]string{"disk": "ssd"}, Containers: []corev1.Container{{Name: "c", Image: "example/image:1"}},
		},
	})
	const why = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. " +
		"preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
	testkit.Eventually(t, soon, "the condition says why", func() bool {
		p, _ := get[*corev1.Pod](t, c, "default", pod.Name)
		for _, cond := range p.Status.Conditions {
			if cond.Type == corev1.PodScheduled && cond.Status == corev1.ConditionFalse && cond.Reason == "Unschedulable" && cond.Message == why {
				return true
			}
		}
		return false
	})
	testkit.Eventually(t, soon, "an event says why", func() bool {
		for _, e := range list[*corev1.Event](t, c, "default", nil) {
			if e.Reason == "FailedScheduling" && e.Message == why && e.Type == corev1.EventTypeWarning && e.Source.Component == "default-scheduler" && e.ReportingController == "default-scheduler" {
				return true
			}
		}
		return false
	})
	edit(t, c, "", c.Fleet.Names()[0], func(n *corev1.Node) { n.Labels["disk"] = "ssd" })
	testkit.Eventually(t, soon, "it runs", func() bool {
		p, _ := get[*corev1.Pod](t, c, "default", pod.Name)
		return p.Status.Phase == corev1.PodRunning
	})
	testkit.Eventually(t, soon, "an event tells where", func() bool {
		for _, e := range list[*corev1.Event](t, c, "default", nil) {
			if e.Reason == "Scheduled" && strings.HasPrefix(e.Message, "Successfully assigned default/p to node-") {
				return true
			}
		}
		return false
	})
}

func TestCordonTaintsAndUncordonUntaints(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 1})
	has := func(key string) func() bool {
		return func() bool {
			n, _ := get[*corev1.Node](t, c, "", "node-0")
			for _, taint := range n.Spec.Taints {
				if taint.Key == key && taint.Effect == corev1.TaintEffectNoSchedule {
					return true
				}
			}
			return false
		}
	}
	testkit.Eventually(t, soon, "a ready node is untainted", func() bool { return !has(corev1.TaintNodeNotReady)() })
	edit(t, c, "", "node-0", func(n *corev1.Node) { n.Spec.Unschedulable = true })
	testkit.Eventually(t, soon, "the cordon taints", has(corev1.TaintNodeUnschedulable))
	edit(t, c, "", "node-0", func(n *corev1.Node) { n.Spec.Unschedulable = false })
	testkit.Eventually(t, soon, "the end of the cordon untaints", func() bool { return !has(corev1.TaintNodeUnschedulable)() })
}

func TestNoExecuteTaintEvicts(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 1})
	seconds := int64(1)
	taint := corev1.Taint{Key: "maintenance", Effect: corev1.TaintEffectNoExecute}
	for name, tolerations := range map[string][]corev1.Toleration{
		"now":   nil,
		"later": {{Key: "maintenance", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds}},
		"stays": {{Key: "maintenance", Operator: corev1.TolerationOpExists}},
	} {
		create(t, c, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Spec:       corev1.PodSpec{Tolerations: tolerations, Containers: []corev1.Container{{Name: "c", Image: "example/image:1"}}},
		})
	}
	testkit.Eventually(t, soon, "all run", func() bool {
		for _, p := range list[*corev1.Pod](t, c, "default", nil) {
			if p.Status.Phase != corev1.PodRunning {
				return false
			}
		}
		return true
	})
	edit(t, c, "", "node-0", func(n *corev1.Node) { n.Spec.Taints = append(n.Spec.Taints, taint) })
	gone[*corev1.Pod](t, c, "default", "now")
	gone[*corev1.Pod](t, c, "default", "later")
	if _, there := get[*corev1.Pod](t, c, "default", "stays"); !there {
		t.Error("a pod that tolerates the taint was evicted")
	}
}
