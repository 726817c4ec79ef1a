package plugins

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// NodePorts keeps pods apart that want the same port of the host.
type NodePorts struct{}

// Name implements framework.Plugin.
func (NodePorts) Name() string { return "NodePorts" }

// PreFilter implements framework.PreFilterer.
func (NodePorts) PreFilter(_ *framework.Cycle, pod *framework.Pod) *framework.Status {
	if len(pod.Ports) == 0 {
		return framework.Skipped()
	}
	return nil
}

// Local implements framework.Local.
func (NodePorts) Local() {}

// Filter implements framework.Filterer.
func (p NodePorts) Filter(_ *framework.Cycle, pod *framework.Pod, node *framework.Node) *framework.Status {
	for _, want := range pod.Ports {
		for _, taken := range node.Ports {
			if want.Collides(taken) {
				return framework.Fail(p.Name(), framework.Unschedulable, "node(s) didn't have free ports for the requested pod ports")
			}
		}
	}
	return nil
}

// Hint implements framework.Hinter.
func (NodePorts) Hint(pod *framework.Pod, ev framework.Event) bool {
	switch ev.Kind {
	case framework.NodeAdded:
		return true
	case framework.PodFreed:
		return frees(pod, ev.OldPod)
	}
	return false
}

func frees(pod *framework.Pod, gone *corev1.Pod) bool {
	for _, have := range framework.UsageOf(gone).Ports {
		for _, want := range pod.Ports {
			if want.Collides(have) {
				return true
			}
		}
	}
	return false
}
