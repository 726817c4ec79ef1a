package node

import (
	"context"
	"errors"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/nodeconfig"
	"github.com/knarr-io/knarr/internal/node/podstate"
)

// What a pod that ends with its node is told (KEP-2000).
const (
	shutdownReason  = "Terminated"
	shutdownMessage = "Pod was terminated in response to imminent node shutdown."
)

// Shutdown ends the node's pods before it is switched off, as its settings
// say: those of the lowest priority first, each group within its time. The node
// is not ready from here on and takes no pods. Without such settings it does
// nothing. It returns when the pods have ended and told so, or with ctx's error:
// then the node is not switched off, and takes pods again.
func (n *Node) Shutdown(ctx context.Context) error {
	if len(n.cfg.Kubelet.Shutdown) == 0 {
		return nil
	}
	n.stopping.Store(true)
	n.registrar.Check()
	n.registrar.Event(corev1.EventTypeNormal, "NodeShutdown", "Shutdown manager detected shutdown event")
	for _, group := range shutdownGroups(n.pods.Pods(), n.cfg.Kubelet.Shutdown) {
		n.cfg.Logger.Info("the node shuts down", "pods", len(group.pods), "priority", group.Priority, "grace", group.Grace)
		if err := n.endGroup(ctx, group); err != nil {
			n.stopping.Store(false)
			n.registrar.Check()
			n.registrar.Event(corev1.EventTypeNormal, "NodeShutdown", "Shutdown manager detected shutdown cancellation")
			return err
		}
	}
	return nil
}

// errLate: a group of pods has had its time.
var errLate = errors.New("the pods' time is over")

// endGroup ends pods together and waits for them.
func (n *Node) endGroup(ctx context.Context, group shutdownGroup) error {
	now := time.Now()
	ended := make([]<-chan struct{}, len(group.pods))
	for i, pod := range group.pods {
		grace := group.Grace
		if own := pod.Spec.TerminationGracePeriodSeconds; own != nil {
			grace = min(grace, time.Duration(*own)*time.Second)
		}
		ended[i] = n.pods.End(pod.UID, podstate.Verdict{
			Reason: shutdownReason, Message: shutdownMessage, Deadline: now.Add(grace), Disruption: true,
		}, "")
	}
	// Killing and telling take a moment beyond the grace.
	ctx, cancel := context.WithTimeoutCause(ctx, group.Grace+5*time.Second, errLate)
	defer cancel()
	for i, c := range ended {
		if !endsIn(ctx, c) {
			if context.Cause(ctx) != errLate {
				return ctx.Err()
			}
			n.cfg.Logger.Warn("a pod has not ended in time", "pod", group.pods[i].Namespace+"/"+group.pods[i].Name)
		}
	}
	return nil
}

// endsIn waits until a pod has ended or ctx is over, and tells whether it has
// ended, also where ctx was over before.
func endsIn(ctx context.Context, ended <-chan struct{}) bool {
	select {
	case <-ended:
	case <-ctx.Done():
	}
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// shutdownGroup are pods that end together.
type shutdownGroup struct {
	nodeconfig.ShutdownGrace
	pods []*corev1.Pod
}

// shutdownGroups sorts running pods into the groups of their priorities: each
// pod into the last that is not above it, those below all into the first.
func shutdownGroups(pods []*corev1.Pod, graces []nodeconfig.ShutdownGrace) []shutdownGroup {
	out := make([]shutdownGroup, len(graces))
	for i, g := range graces {
		out[i].ShutdownGrace = g
	}
	for _, pod := range pods {
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		priority := int32(0)
		if pod.Spec.Priority != nil {
			priority = *pod.Spec.Priority
		}
		at := 0
		for i := range out {
			if out[i].Priority <= priority {
				at = i
			}
		}
		out[at].pods = append(out[at].pods, pod)
	}
	return slices.DeleteFunc(out, func(g shutdownGroup) bool { return len(g.pods) == 0 })
}
