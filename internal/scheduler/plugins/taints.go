package plugins

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// TaintToleration keeps pods off nodes whose taints they do not tolerate, and
// prefers nodes with few PreferNoSchedule taints.
type TaintToleration struct{}

// Name implements framework.Plugin.
func (TaintToleration) Name() string { return "TaintToleration" }

// Local implements framework.Local.
func (TaintToleration) Local() {}

// Filter implements framework.Filterer.
func (p TaintToleration) Filter(_ *framework.Cycle, pod *framework.Pod, node *framework.Node) *framework.Status {
	for i := range node.Hard {
		if !tolerated(pod.Spec.Tolerations, &node.Hard[i]) {
			return framework.Fail(p.Name(), framework.Unresolvable, "node(s) had untolerated taint(s)")
		}
	}
	return nil
}

// PreScore implements framework.PreScorer.
func (TaintToleration) PreScore(_ *framework.Cycle, _ *framework.Pod, nodes []*framework.Node) *framework.Status {
	for _, n := range nodes {
		if len(n.Soft) > 0 {
			return nil
		}
	}
	return framework.Skipped()
}

// Score implements framework.Scorer: the number of soft taints not tolerated.
func (TaintToleration) Score(_ *framework.Cycle, pod *framework.Pod, node *framework.Node) int64 {
	var n int64
	for i := range node.Soft {
		if !tolerated(pod.Spec.Tolerations, &node.Soft[i]) {
			n++
		}
	}
	return n
}

// Normalize implements framework.Normalizer.
func (TaintToleration) Normalize(_ *framework.Cycle, _ *framework.Pod, scores []int64) {
	scaleToMax(scores, true)
}

// Hint implements framework.Hinter.
func (TaintToleration) Hint(pod *framework.Pod, ev framework.Event) bool {
	switch ev.Kind {
	case framework.NodeAdded:
		return fits(pod, ev.NewNode)
	case framework.NodeChanged:
		return !equality.Semantic.DeepEqual(ev.OldNode.Spec.Taints, ev.NewNode.Spec.Taints) && fits(pod, ev.NewNode)
	}
	return ev.Kind == framework.PodChanged
}

func fits(pod *framework.Pod, node *corev1.Node) bool {
	for i := range node.Spec.Taints {
		t := &node.Spec.Taints[i]
		if t.Effect != corev1.TaintEffectPreferNoSchedule && !tolerated(pod.Spec.Tolerations, t) {
			return false
		}
	}
	return true
}
