package scheduler

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
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
		newNode("short", func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeDiskPressure, Effect: corev1.TaintEffectNoSchedule}}
		}),
	}
	got := Explain(newPod("p", cpu("1")), nodes, []*corev1.Pod{there}, plugins.Sources{})
	want := []Verdict{
		{Node: "free"},
		{Node: "busy", Blocks: []Block{{
			Plugin: "NodeResourcesFit", Reasons: []string{"Insufficient cpu"}, Help: "it lacks 500m more cpu: free that, or request less",
		}}},
		{Node: "short", Blocks: []Block{{
			Plugin: "TaintToleration", Reasons: []string{"node(s) had untolerated taint(s)"}, Help: "the node runs short, until there is room: node.kubernetes.io/disk-pressure",
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

// Every plugin that may say no tells which events could change its mind, and
// what a person could do.
func TestEveryPluginHintsAndHelps(t *testing.T) {
	pod, node := framework.NewPod(newPod("p")), framework.NewNode(newNode("n"))
	for _, w := range plugins.Default(plugins.Sources{}) {
		_, gates := w.Plugin.(framework.PreEnqueuer)
		_, filters := w.Plugin.(framework.Filterer)
		_, looks := w.Plugin.(framework.PreFilterer)
		if !gates && !filters && !looks {
			continue
		}
		if _, ok := w.Plugin.(framework.Hinter); !ok {
			t.Errorf("%s has no hints: a pod that it rejects is tried again after every event", w.Name())
		}
		if filters && help(w.Name(), pod, node) == "" {
			t.Errorf("%s rejects nodes and does not say what would help", w.Name())
		}
	}
}

func TestExplainTellsOfGates(t *testing.T) {
	gate := func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/later"}} }
	got := Explain(newPod("p", gate, wanting("c")), []*corev1.Node{newNode("n")}, nil, plugins.Sources{})
	if len(got) != 1 || len(got[0].Blocks) != 2 {
		t.Fatalf("got %+v", got)
	}
	for i, want := range []string{"waiting for scheduling gates: [example.com/later]", `resourceclaim.resource.k8s.io "c" not found`} {
		if reasons := strings.Join(got[0].Blocks[i].Reasons, ", "); reasons != want || got[0].Blocks[i].Help == "" {
			t.Errorf("block %d is %+v, want the reason %q and help", i, got[0].Blocks[i], want)
		}
	}
}
