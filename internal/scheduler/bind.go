package scheduler

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
	"github.com/knarr-io/knarr/internal/scheduler/queue"
)

// writeTimeout bounds a write, so that a stuck one does not hold its slot.
const writeTimeout = 30 * time.Second

// aside does a write without holding up the loop; it waits for a slot.
func (s *Scheduler) aside(ctx context.Context, fn func(context.Context)) {
	select {
	case s.binds <- struct{}{}:
	case <-ctx.Done():
		return
	}
	s.binders.Go(func() {
		defer func() { <-s.binds }()
		ctx, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		fn(ctx)
	})
}

// needs is what is to be written before a pod is bound; nil parts for nothing.
type needs struct {
	volumes *plugins.VolumePlan
	devices *plugins.DevicePlan
}

func (n needs) none() bool { return n.volumes == nil && n.devices == nil }

// bind writes the pod's node.
func (s *Scheduler) bind(ctx context.Context, p *profile, e *queue.Entry, node string, n needs) {
	pod := e.Pod.Pod
	life := ctx
	s.aside(ctx, func(ctx context.Context) {
		_, err := s.pods.Act(ctx, pod.Namespace, pod.Name, "binding", &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
			Target:     corev1.ObjectReference{Kind: "Node", Name: node},
		})
		if err != nil {
			s.takeBack(life, e, n, fmt.Errorf("binding rejected: %w", err))
			return
		}
		s.metrics.scheduled(e)
		p.events.Eventf(pod, corev1.EventTypeNormal, "Scheduled", "Successfully assigned %s/%s to %s", pod.Namespace, pod.Name, node)
	})
}

// bindWithNeeds has the pod's claims bound first. That may take long, so it
// holds no slot.
func (s *Scheduler) bindWithNeeds(ctx context.Context, p *profile, e *queue.Entry, node *corev1.Node, n needs) {
	if n.volumes != nil {
		s.volumes.promise(n.volumes, node.Name)
	}
	if n.devices != nil {
		s.devices.ledger.Promise(n.devices)
	}
	s.binders.Go(func() {
		done := message{kind: releasedMessage, needs: n}
		var err error
		if n.volumes != nil {
			if err = s.volumes.carryOut(ctx, n.volumes, node); err != nil {
				err = fmt.Errorf("running PreBind plugin %q: %w", p.volumes.Name(), err)
			}
		}
		if n.devices != nil && err == nil {
			if done.written, err = s.devices.carryOut(ctx, n.devices, e.Pod.Pod, p.devices.Wait); err != nil {
				err = fmt.Errorf("running PreBind plugin %q: %w", p.devices.Name(), err)
			}
		}
		s.inbox.put(done)
		if err != nil {
			s.takeBack(ctx, e, n, err)
			return
		}
		s.bind(ctx, p, e, node.Name, n)
	})
}

// deallocate frees a claim that keeps the pod from every node, where there is
// one, and tells what was done; empty for nothing.
func (s *Scheduler) deallocate(ctx context.Context, p *profile, t *trial) string {
	if p.devices == nil || t == nil {
		return ""
	}
	claim := p.devices.Stuck(t.cycle, t.pod)
	if claim == nil {
		return ""
	}
	s.aside(ctx, func(ctx context.Context) {
		if err := s.devices.deallocate(ctx, claim); err != nil {
			s.logger.Warn("a claim was not deallocated", "claim", claim.Name, "namespace", claim.Namespace, "error", err)
			s.inbox.put(message{kind: retryMessage, uid: t.pod.UID})
		}
	})
	return "deallocation of ResourceClaim completed"
}

// takeBack hands a pod to the loop that was not bound. The claims that it
// reserved are given back before, or the next attempt would count on them.
func (s *Scheduler) takeBack(ctx context.Context, e *queue.Entry, n needs, cause error) {
	if n.devices != nil {
		ctx, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		if err := s.devices.unreserve(ctx, n.devices, e.Pod.UID); err != nil {
			s.logger.Warn("a reservation was not taken back", "pod", e.Pod.UID, "error", err)
		}
	}
	s.inbox.put(message{kind: unboundMessage, entry: e, err: cause})
}

// unbound takes a pod back whose binding failed. One that is gone, or has a
// node by now, will be told by the informer.
func (s *Scheduler) unbound(m message, now time.Time) {
	uid := m.entry.Pod.UID
	if have, ok := s.placed[uid]; ok && have.assumed {
		s.free(have.pod, now)
	}
	newest, there := s.podInf.Get(m.entry.Pod.Namespace, m.entry.Pod.Name)
	if !there {
		s.queue.Drop(uid)
		return
	}
	if newest.UID == uid { // its changes passed the queue by while it was being bound
		m.entry.Pod = framework.NewPod(newest)
	}
	s.logger.Warn("binding failed", "pod", m.entry.Pod.Name, "namespace", m.entry.Pod.Namespace, "error", m.err)
	s.queue.Fail(m.entry, nil, true, now)
	if p := s.profiles[m.entry.Pod.Spec.SchedulerName]; p != nil {
		p.events.Event(m.entry.Pod.Pod, corev1.EventTypeWarning, "FailedScheduling", m.err.Error())
	}
}

// unschedulable parks a pod that no node takes and tells why.
func (s *Scheduler) unschedulable(ctx context.Context, p *profile, e *queue.Entry, failure *fitError, o outcome, now time.Time) {
	failure.post = o.why
	s.queue.Fail(e, failure.rejecters(p), failure.failed != "", now)
	pod, text := e.Pod.Pod, failure.Error()
	p.events.Event(pod, corev1.EventTypeWarning, "FailedScheduling", text)
	reason := corev1.PodReasonUnschedulable
	if failure.failed != "" {
		reason = corev1.PodReasonSchedulerError
	}
	status := map[string]any{}
	shown, ok := s.podInf.Get(pod.Namespace, pod.Name)
	if !ok {
		shown = pod
	}
	if !shows(shown, reason, text) {
		status["conditions"] = []corev1.PodCondition{unscheduled(shown, reason, text)}
	}
	if !o.keep {
		s.nominate(e.Pod, o.node)
		if o.node != "" {
			status["nominatedNodeName"] = o.node
		} else if shown.Status.NominatedNodeName != "" {
			status["nominatedNodeName"] = nil
		}
	}
	if len(status) == 0 {
		return
	}
	s.aside(ctx, func(ctx context.Context) {
		if err := s.patchStatus(ctx, pod, status); err != nil && !apierrors.IsNotFound(err) {
			s.logger.Warn("a pod's condition was not written", "pod", pod.Name, "namespace", pod.Namespace, "error", err)
		}
	})
}

// shows tells whether the pod's condition says this already.
func shows(pod *corev1.Pod, reason, text string) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled {
			return c.Status == corev1.ConditionFalse && c.Reason == reason && c.Message == text
		}
	}
	return false
}

// unscheduled is the PodScheduled condition of a pod without a node.
func unscheduled(pod *corev1.Pod, reason, text string) corev1.PodCondition {
	c := corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: reason, Message: text,
		ObservedGeneration: pod.Generation, LastTransitionTime: metav1.Now(),
	}
	for _, have := range pod.Status.Conditions {
		if have.Type == c.Type && have.Status == c.Status {
			c.LastTransitionTime = have.LastTransitionTime
		}
	}
	return c
}
