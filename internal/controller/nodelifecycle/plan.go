package nodelifecycle

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Grace periods, upstream's defaults.
const (
	// graceRunning is how long a node may be silent.
	graceRunning = 50 * time.Second
	// graceStarting is how long a node may take to report for the first time.
	graceStarting = 60 * time.Second
)

// condition is the node's condition of a type; nil where it has none.
func condition(node *corev1.Node, typ corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range node.Status.Conditions {
		if node.Status.Conditions[i].Type == typ {
			return &node.Status.Conditions[i]
		}
	}
	return nil
}

func readiness(node *corev1.Node) corev1.ConditionStatus {
	if c := condition(node, corev1.NodeReady); c != nil {
		return c.Status
	}
	return corev1.ConditionUnknown
}

// grace is how long the node may be silent now.
func grace(node *corev1.Node) time.Duration {
	if c := condition(node, corev1.NodeReady); c == nil || c.LastHeartbeatTime.IsZero() {
		return graceStarting
	}
	return graceRunning
}

// silent gives the conditions of a node that stopped reporting: those that
// the agent writes become Unknown. changed is false when they are already.
func silent(node *corev1.Node, now time.Time) (conditions []corev1.NodeCondition, changed bool) {
	out := slices.Clone(node.Status.Conditions)
	for _, typ := range []corev1.NodeConditionType{
		corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure,
	} {
		i := slices.IndexFunc(out, func(c corev1.NodeCondition) bool { return c.Type == typ })
		if i < 0 {
			out = append(out, corev1.NodeCondition{
				Type: typ, Status: corev1.ConditionUnknown, Reason: "NodeStatusNeverUpdated",
				Message: "Kubelet never posted node status.", LastHeartbeatTime: node.CreationTimestamp, LastTransitionTime: metav1.NewTime(now),
			})
			changed = true
			continue
		}
		if out[i].Status == corev1.ConditionUnknown {
			continue
		}
		out[i].Status, out[i].Reason, out[i].Message = corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status."
		out[i].LastTransitionTime = metav1.NewTime(now)
		changed = true
	}
	return out, changed
}

// ours tells whether a taint is this controller's to set and to take away.
func ours(t corev1.Taint) bool {
	switch t.Key {
	case corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable:
		return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
	case corev1.TaintNodeMemoryPressure, corev1.TaintNodeDiskPressure, corev1.TaintNodePIDPressure,
		corev1.TaintNodeNetworkUnavailable, corev1.TaintNodeUnschedulable:
		return t.Effect == corev1.TaintEffectNoSchedule
	}
	return false
}

// taints are those that the node should have: others' in their place, and
// ours by its conditions. evict is false while nothing may be evicted.
func taints(node *corev1.Node, evict bool, now time.Time) (list []corev1.Taint, changed bool) {
	want := wanted(node, evict)
	var out []corev1.Taint
	for _, t := range node.Spec.Taints {
		if !ours(t) {
			out = append(out, t)
			continue
		}
		i := slices.IndexFunc(want, func(w corev1.Taint) bool { return w.Key == t.Key && w.Effect == t.Effect })
		if i < 0 {
			changed = true
			continue
		}
		out = append(out, t)
		want = slices.Delete(want, i, i+1)
	}
	for _, t := range want {
		added := metav1.NewTime(now)
		t.TimeAdded = &added
		out = append(out, t)
		changed = true
	}
	return out, changed
}

// emptied tells whether the node drives its pods away for not being ready.
func emptied(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoExecute && (t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable)
	})
}

func wanted(node *corev1.Node, evict bool) []corev1.Taint {
	var want []corev1.Taint
	switch ready := condition(node, corev1.NodeReady); {
	case ready == nil: // it has not reported yet
		want = unready(corev1.TaintNodeNotReady, false)
	case ready.Status == corev1.ConditionFalse:
		want = unready(corev1.TaintNodeNotReady, evict)
	case ready.Status == corev1.ConditionUnknown:
		want = unready(corev1.TaintNodeUnreachable, evict)
	}
	for typ, key := range map[corev1.NodeConditionType]string{
		corev1.NodeMemoryPressure: corev1.TaintNodeMemoryPressure, corev1.NodeDiskPressure: corev1.TaintNodeDiskPressure,
		corev1.NodePIDPressure: corev1.TaintNodePIDPressure, corev1.NodeNetworkUnavailable: corev1.TaintNodeNetworkUnavailable,
	} {
		if c := condition(node, typ); c != nil && c.Status == corev1.ConditionTrue {
			want = append(want, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule})
		}
	}
	if node.Spec.Unschedulable {
		want = append(want, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
	}
	slices.SortFunc(want, func(a, b corev1.Taint) int {
		if a.Key != b.Key {
			if a.Key < b.Key {
				return -1
			}
			return 1
		}
		return 0
	})
	return want
}

func unready(key string, evict bool) []corev1.Taint {
	out := []corev1.Taint{{Key: key, Effect: corev1.TaintEffectNoSchedule}}
	if evict {
		out = append(out, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoExecute})
	}
	return out
}
