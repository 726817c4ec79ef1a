package tainteviction

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/controller/internal/pods"
)

// noExecute are the taints of a node that drive pods away.
func noExecute(node *corev1.Node) []corev1.Taint {
	var out []corev1.Taint
	for _, t := range node.Spec.Taints {
		if t.Effect == corev1.TaintEffectNoExecute {
			out = append(out, t)
		}
	}
	return out
}

// due tells when the pod must leave its node; evict is false when it may
// stay. since is when the taints were first met.
func due(pod *corev1.Pod, taints []corev1.Taint, since time.Time) (at time.Time, evict bool) {
	for _, t := range taints {
		begun := met(pod, &t, since)
		stays, bounded := tolerance(pod.Spec.Tolerations, &t)
		switch {
		case !stays:
			return begun, true
		case bounded != nil:
			if end := begun.Add(*bounded); !evict || end.Before(at) {
				at, evict = end, true
			}
		}
	}
	return at, evict
}

// met is when the pod and the taint met: when the taint was added, or the pod got
// its node. It is not later than it was first seen, wherever the clock was then.
func met(pod *corev1.Pod, taint *corev1.Taint, since time.Time) time.Time {
	if taint.TimeAdded == nil {
		return since
	}
	at := taint.TimeAdded.Time
	if c := pods.Condition(pod, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionTrue && c.LastTransitionTime.After(at) {
		at = c.LastTransitionTime.Time
	}
	if at.After(since) {
		return since
	}
	return at
}

// tolerance is whether the pod tolerates the taint, and for how long: the
// shortest of the tolerations that match, nil for ever.
func tolerance(tolerations []corev1.Toleration, taint *corev1.Taint) (stays bool, bounded *time.Duration) {
	for i := range tolerations {
		if !tolerates(&tolerations[i], taint) {
			continue
		}
		stays = true
		if s := tolerations[i].TolerationSeconds; s != nil {
			d := time.Duration(max(0, *s)) * time.Second
			if bounded == nil || d < *bounded {
				bounded = &d
			}
		}
	}
	return stays, bounded
}

func tolerates(t *corev1.Toleration, taint *corev1.Taint) bool {
	if t.Effect != "" && t.Effect != taint.Effect || t.Key != "" && t.Key != taint.Key {
		return false
	}
	switch t.Operator {
	case "", corev1.TolerationOpEqual:
		return t.Value == taint.Value
	case corev1.TolerationOpExists:
		return true
	}
	return false
}
