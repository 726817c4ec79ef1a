package nodetest_test

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/nodeconfig"
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

// A node that is switched off ends its pods by priority and takes no others.
func TestShutdown(t *testing.T) {
	w := newWorld(t)
	w.stop()
	w.kubelet = settings()
	w.kubelet.Shutdown = []nodeconfig.ShutdownGrace{{Priority: -10, Grace: 20 * time.Second}, {Priority: 5, Grace: 10 * time.Second}}
	w.start()
	w.create(pod("low", func(p *corev1.Pod) { p.Spec.Containers[0].Name = "low" }))
	w.manifest("web", "app:1")
	w.awaitReady("low")
	w.eventually("the mirror is made", func() bool { _, err := w.pods.Get(t.Context(), "default", "web-n1"); return err == nil })
	w.awaitReady("web-n1")
	if err := w.node.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"low", "web-n1"} {
		s := w.get(name).Status
		if s.Phase != corev1.PodFailed || s.Reason != "Terminated" || s.Message != "Pod was terminated in response to imminent node shutdown." {
			t.Errorf("%s: %s, %s, %q", name, s.Phase, s.Reason, s.Message)
		}
	}
	w.eventually("the node is not ready", func() bool {
		n, err := client.For[*corev1.Node](w.cluster.Admin).Get(t.Context(), "", "n1")
		return err == nil && !nodeReady(n)
	})
	w.create(pod("late"))
	w.eventually("a late pod is refused", func() bool { return w.get("late").Status.Reason == "NodeShutdown" })

	// After the next start the static pod runs again, what ended stays ended.
	w.stop()
	w.start()
	w.eventually("the static pod runs again", func() bool {
		p, err := w.pods.Get(t.Context(), "default", "web-n1")
		return err == nil && isReady(p)
	})
	if s := w.get("low").Status; s.Phase != corev1.PodFailed || w.running() != 1 {
		t.Errorf("low is %s, %d containers run", s.Phase, w.running())
	}
}

// A node that is not switched off after all is ready again and takes pods.
func TestShutdownIsCalledOff(t *testing.T) {
	w := newWorld(t)
	w.stop()
	w.kubelet = settings()
	w.kubelet.Shutdown = []nodeconfig.ShutdownGrace{{Grace: time.Hour}}
	w.start()
	w.runtime.Stubborn("app")
	hour := int64(3600)
	w.create(pod("a", func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = &hour }))
	w.awaitReady("a")
	ready := func() bool {
		n, err := client.For[*corev1.Node](w.cluster.Admin).Get(t.Context(), "", "n1")
		return err == nil && nodeReady(n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.node.Shutdown(ctx) }()
	w.eventually("the node is not ready", func() bool { return !ready() })
	cancel()
	if err := <-ended; err == nil {
		t.Error("a shutdown that was called off did not say so")
	}
	w.eventually("the node is ready again", ready)
	w.create(pod("b"))
	w.awaitReady("b")
}
