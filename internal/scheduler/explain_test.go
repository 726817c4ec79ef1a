package scheduler

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/plugins"
)

func TestExplainNamesEveryBlockAndTheSmallestChange(t *testing.T) {
	there := newPod("x", cpu("3500m"))
	there.Spec.NodeName = "busy"
	nodes := []*corev1.Node{
		newNode("far", func(n *corev1.Node) {
			n.Spec.Unschedulable = true
			n.Spec.Taints = []corev1.Taint{{Key: "k", Value: "v", Effect: corev1.TaintEffectNoSchedule}}
		}),
		newNode("busy"), newNode("free"),
	}
	got := Explain(newPod("p", cpu("1")), nodes, []*corev1.Pod{there}, plugins.Sources{})
	want := []Verdict{
		{Node: "free"},
		{Node: "busy", Blocks: []Block{{
			Plugin: "NodeResourcesFit", Reasons: []string{"Insufficient cpu"}, Help: "it lacks 500m more cpu: free that, or request less",
		}}},
		{Node: "far", Blocks: []Block{
			{Plugin: "NodeUnschedulable", Reasons: []string{"node(s) were unschedulable"}, Help: "kubectl uncordon far"},
			{Plugin: "TaintToleration", Reasons: []string{"node(s) had untolerated taint(s)"}, Help: "tolerate or take off its taints: k=v:NoSchedule"},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
