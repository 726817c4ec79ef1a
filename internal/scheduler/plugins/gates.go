package plugins

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// SchedulingGates keeps a pod back while spec.schedulingGates names something
// (KEP-3521).
type SchedulingGates struct{}

// Name implements framework.Plugin.
func (SchedulingGates) Name() string { return "SchedulingGates" }

// PreEnqueue implements framework.PreEnqueuer.
func (p SchedulingGates) PreEnqueue(pod *corev1.Pod) *framework.Status {
	if len(pod.Spec.SchedulingGates) == 0 {
		return nil
	}
	var names []string
	for _, g := range pod.Spec.SchedulingGates {
		names = append(names, g.Name)
	}
	return framework.Fail(p.Name(), framework.Unresolvable, fmt.Sprintf("waiting for scheduling gates: %v", names))
}

// Hint implements framework.Hinter: only a change of the pod lifts a gate.
func (SchedulingGates) Hint(_ *framework.Pod, ev framework.Event) bool {
	return ev.Kind == framework.PodChanged
}
