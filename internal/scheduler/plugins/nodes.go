package plugins

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// NodeName holds a pod to the node that it names, where it was created with
// one for another scheduler to check.
type NodeName struct{}

// Name implements framework.Plugin.
func (NodeName) Name() string { return "NodeName" }

// PreFilter implements framework.PreFilterer.
func (NodeName) PreFilter(_ *framework.Cycle, pod *framework.Pod) *framework.Status {
	if pod.Spec.NodeName == "" {
		return framework.Skipped()
	}
	return nil
}

// Local implements framework.Local.
func (NodeName) Local() {}

// Filter implements framework.Filterer.
func (p NodeName) Filter(_ *framework.Cycle, pod *framework.Pod, node *framework.Node) *framework.Status {
	if pod.Spec.NodeName == node.Name {
		return nil
	}
	return framework.Fail(p.Name(), framework.Unresolvable, "node(s) didn't match the requested node name")
}

// Hint implements framework.Hinter.
func (NodeName) Hint(pod *framework.Pod, ev framework.Event) bool {
	return ev.Kind == framework.NodeAdded && ev.NewNode.Name == pod.Spec.NodeName
}

// NodeUnschedulable keeps pods off cordoned nodes unless they tolerate that.
type NodeUnschedulable struct{}

// Name implements framework.Plugin.
func (NodeUnschedulable) Name() string { return "NodeUnschedulable" }

// Local implements framework.Local.
func (NodeUnschedulable) Local() {}

// Filter implements framework.Filterer.
func (p NodeUnschedulable) Filter(_ *framework.Cycle, pod *framework.Pod, node *framework.Node) *framework.Status {
	if !node.Cordoned || toleratesCordon(pod) {
		return nil
	}
	return framework.Fail(p.Name(), framework.Unresolvable, "node(s) were unschedulable")
}

func toleratesCordon(pod *framework.Pod) bool {
	return tolerated(pod.Spec.Tolerations, &corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
}

// Hint implements framework.Hinter.
func (NodeUnschedulable) Hint(_ *framework.Pod, ev framework.Event) bool {
	switch ev.Kind {
	case framework.NodeAdded:
		return !ev.NewNode.Spec.Unschedulable
	case framework.NodeChanged:
		return ev.OldNode.Spec.Unschedulable && !ev.NewNode.Spec.Unschedulable
	}
	return ev.Kind == framework.PodChanged
}
