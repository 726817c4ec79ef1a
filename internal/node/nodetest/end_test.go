package nodetest_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/podstate"
)

// An evicted pod ends within its time, whatever its own grace period is, and
// tells why; its status is final only when nothing of it runs.
func TestEviction(t *testing.T) {
	w := newWorld(t)
	w.runtime.Stubborn("app")
	made := w.create(pod("a", func(p *corev1.Pod) {
		hours := int64(7200)
		p.Spec.TerminationGracePeriodSeconds = &hours
	}))
	w.awaitReady("a")
	ended := w.node.Pods().End(made.UID, podstate.Verdict{
		Reason: "Evicted", Message: "The node was low on resource: memory. ", Deadline: time.Now().Add(time.Second), Disruption: true,
	}, "Evicted")
	w.eventually("nothing of the pod runs", func() bool {
		select {
		case <-ended:
			return true
		default:
			if s := w.get("a").Status; s.Phase == corev1.PodFailed && w.running() > 0 {
				t.Error("the pod is Failed while a container runs")
			}
			return false
		}
	})
	w.eventually("the status is final", func() bool {
		s := w.get("a").Status
		return s.Phase == corev1.PodFailed && s.Reason == "Evicted" && s.Message == "The node was low on resource: memory. "
	})
	var found bool
	for _, c := range w.get("a").Status.Conditions {
		if c.Type == corev1.DisruptionTarget {
			found = c.Status == corev1.ConditionTrue && c.Reason == "TerminationByKubelet"
		}
	}
	if !found {
		t.Errorf("conditions %+v", w.get("a").Status.Conditions)
	}
	w.awaitEvent("Evicted", "The node was low on resource: memory. ")
	select {
	case <-w.node.Pods().End("nobody", podstate.Verdict{}, ""):
	default:
		t.Error("a pod that is not there is waited for")
	}
}
