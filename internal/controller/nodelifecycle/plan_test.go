package nodelifecycle

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var now = time.Unix(1_000_000, 0)

func node(change ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	for _, fn := range change {
		fn(n)
	}
	return n
}

func has(typ corev1.NodeConditionType, status corev1.ConditionStatus) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: typ, Status: status, LastHeartbeatTime: metav1.NewTime(now)})
	}
}

func tainted(key string, effect corev1.TaintEffect) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: effect}) }
}

func TestTaints(t *testing.T) {
	ready := has(corev1.NodeReady, corev1.ConditionTrue)
	cases := []struct {
		name  string
		node  *corev1.Node
		evict bool
		want  string
	}{
		{"ready", node(ready), true, ""},
		{"not reported yet", node(), true, "not-ready:NoSchedule"},
		{"not ready", node(has(corev1.NodeReady, corev1.ConditionFalse)), true, "not-ready:NoSchedule not-ready:NoExecute"},
		{"unknown", node(has(corev1.NodeReady, corev1.ConditionUnknown)), true, "unreachable:NoSchedule unreachable:NoExecute"},
		{"unknown, nothing to be evicted", node(has(corev1.NodeReady, corev1.ConditionUnknown)), false, "unreachable:NoSchedule"},
		{"recovered", node(ready, tainted(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute)), true, ""},
		{"pressure", node(ready, has(corev1.NodeMemoryPressure, corev1.ConditionTrue)), true, "memory-pressure:NoSchedule"},
		{"cordoned", node(ready, func(n *corev1.Node) { n.Spec.Unschedulable = true }), true, "unschedulable:NoSchedule"},
		{"others' stay", node(ready, tainted("example.com/x", corev1.TaintEffectNoSchedule), tainted(corev1.TaintNodeNotReady, corev1.TaintEffectNoSchedule)), true, "example.com/x:NoSchedule"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			list, changed := taints(c.node, c.evict, now)
			var got []string
			for _, taint := range list {
				got = append(got, fmt.Sprint(strings.TrimPrefix(taint.Key, "node.kubernetes.io/"), ":", taint.Effect))
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
			if changed == cmp.Equal(list, c.node.Spec.Taints) {
				t.Errorf("changed is %t", changed)
			}
			settled := c.node.DeepCopy()
			settled.Spec.Taints = list
			if _, again := taints(settled, c.evict, now.Add(time.Hour)); again {
				t.Error("a second run changes taints")
			}
		})
	}
}

func TestSilence(t *testing.T) {
	n := node(has(corev1.NodeReady, corev1.ConditionTrue), has(corev1.NodeMemoryPressure, corev1.ConditionFalse), has("Custom", corev1.ConditionTrue))
	conditions, changed := silent(n, now)
	if !changed {
		t.Fatal("nothing changed")
	}
	got := map[string]string{}
	for _, c := range conditions {
		got[string(c.Type)] = fmt.Sprint(c.Status, " ", c.Reason)
	}
	want := map[string]string{
		"Ready": "Unknown NodeStatusUnknown", "MemoryPressure": "Unknown NodeStatusUnknown",
		"DiskPressure": "Unknown NodeStatusNeverUpdated", "PIDPressure": "Unknown NodeStatusNeverUpdated", "Custom": "True ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	n.Status.Conditions = conditions
	if _, again := silent(n, now); again {
		t.Error("a second run changes conditions")
	}
	if grace(node()) != graceStarting || grace(n) != graceRunning {
		t.Error("grace periods are mixed up")
	}
}
