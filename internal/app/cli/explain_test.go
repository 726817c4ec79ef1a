package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler"
)

func TestVerdictsAreReadable(t *testing.T) {
	var b strings.Builder
	pod := &corev1.Pod{Spec: corev1.PodSpec{SchedulingGates: []corev1.PodSchedulingGate{{Name: "example.com/wait"}}}}
	printVerdicts(&b, pod, []scheduler.Verdict{
		{Node: "a"},
		{Node: "b", Blocks: []scheduler.Block{{Plugin: "NodeUnschedulable", Reasons: []string{"node(s) were unschedulable"}, Help: "kubectl uncordon b"}}},
	})
	want := `the gate "example.com/wait" holds the pod back, whatever nodes say
a: would take it
b:
  NodeUnschedulable: node(s) were unschedulable
    what would help: kubectl uncordon b
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}
