package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
)

// outcome is what an attempt to preempt says of the pod's nominated node.
type outcome struct {
	// node is the nominated one; empty takes an old nomination back, unless
	// keep is set.
	node string
	keep bool
	why  string // why nothing was done
}

// preempt looks for pods of lower priority whose going would help, has them
// go and keeps their room for the pod (KEP: pod priority and preemption).
func (s *Scheduler) preempt(ctx context.Context, p *profile, t *trial, failure *fitError, now time.Time) outcome {
	if p.preemption == nil || failure.failed != "" || failure.nodes == 0 {
		return outcome{keep: true}
	}
	if t == nil { // no node was asked, so none can be made fit
		return outcome{why: "preemption: " + (&fitError{nodes: failure.nodes, absent: notHelpful}).Error()}
	}
	if why := s.mayNotPreempt(t.pod, failure); why != "" {
		return outcome{keep: true, why: "preemption: " + why}
	}
	found, told := s.candidates(t, *p.preemption, failure, now)
	if len(found) == 0 {
		return outcome{why: "preemption: " + told.Error()}
	}
	best := pickCandidate(found, now)
	s.actuate(ctx, p, t.pod, best)
	return outcome{node: best.node.Name}
}

// mayNotPreempt tells why a pod may not displace others now; empty: it may.
func (s *Scheduler) mayNotPreempt(pod *framework.Pod, failure *fitError) string {
	if policy := pod.Spec.PreemptionPolicy; policy != nil && *policy == corev1.PreemptNever {
		return "not eligible due to preemptionPolicy=Never."
	}
	node := s.cluster.byName[s.nominated.byPod[pod.UID]]
	if node == nil || node.Node == nil || failure.of(node).Is(framework.Unresolvable) {
		return ""
	}
	why, chosen := "", s.nominated.chosen[pod.UID]
	node.EachPod(func(p *framework.Placed) bool {
		going := goingForPreemption(p.Pod) || p.DeletionTimestamp == nil && chosen[p.UID]
		if framework.Priority(p.Pod) < framework.Priority(pod.Pod) && going {
			why = "not eligible due to a terminating pod on the nominated node."
		}
		return why == ""
	})
	return why
}

func goingForPreemption(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp == nil {
		return false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget {
			return c.Status == corev1.ConditionTrue && c.Reason == corev1.PodReasonPreemptionByScheduler
		}
	}
	return false
}

// candidates tries nodes, from a random one on, until there are enough.
func (s *Scheduler) candidates(t *trial, settings plugins.DefaultPreemption, failure *fitError, now time.Time) ([]*candidate, *fitError) {
	told := &fitError{nodes: failure.nodes, absent: notHelpful}
	var helpful []*framework.Node
	for _, n := range t.cycle.View.Nodes {
		if failure.of(n).Is(framework.Unschedulable) {
			helpful = append(helpful, n)
		}
	}
	if len(helpful) == 0 {
		return nil, told
	}
	budgets := s.budgets.List("", nil)
	var found []*candidate
	unbroken, enough, first := 0, settings.Enough(len(helpful)), s.random.IntN(len(helpful))
	for i := range helpful {
		c, st := s.recalledVictims(t, helpful[(first+i)%len(helpful)], budgets, now)
		switch {
		case st != nil:
			told.add(st, 1)
			continue
		case len(c.victims) == 0:
			continue // it fits by now: not for preemption to say
		case c.violations == 0:
			unbroken++
		}
		if found = append(found, c); unbroken > 0 && len(found) >= enough {
			break
		}
	}
	return found, told
}

// actuate has the victims go, and frees pods of lower priority from waiting
// for this node.
func (s *Scheduler) actuate(ctx context.Context, p *profile, pod *framework.Pod, c *candidate) {
	lower := s.nominated.below(c.node.Name, framework.Priority(pod.Pod))
	for _, n := range lower {
		s.unnominate(n.UID)
		s.queue.Wake(n.UID, time.Now())
	}
	s.nominate(pod, c.node.Name)
	chosen := make(map[types.UID]bool, len(c.victims))
	for _, v := range c.victims {
		chosen[v.UID] = true
	}
	s.nominated.chosen[pod.UID] = chosen
	s.metrics.preempted(len(c.victims))
	s.logger.Info("preempting", "pod", pod.Name, "namespace", pod.Namespace, "node", c.node.Name, "victims", len(c.victims))
	name := c.node.Name
	s.aside(ctx, func(ctx context.Context) {
		var errs []error
		for _, n := range lower {
			errs = append(errs, s.patchStatus(ctx, n.Pod, map[string]any{"nominatedNodeName": nil}))
		}
		for _, v := range c.victims {
			errs = append(errs, s.displace(ctx, p, v.Pod, pod.Pod, name))
		}
		if err := errors.Join(errs...); err != nil {
			s.logger.Warn("preemption failed in part", "pod", pod.Name, "namespace", pod.Namespace, "error", err)
			s.inbox.put(message{kind: retryMessage, uid: pod.UID})
		}
	})
}

// displace marks a victim and deletes it.
func (s *Scheduler) displace(ctx context.Context, p *profile, victim, by *corev1.Pod, node string) error {
	if victim.DeletionTimestamp != nil {
		return nil
	}
	c := corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonPreemptionByScheduler,
		Message:            by.Spec.SchedulerName + ": preempting to accommodate a higher priority pod",
		ObservedGeneration: victim.Generation, LastTransitionTime: metav1.Now(),
	}
	err := s.patchStatus(ctx, victim, map[string]any{"conditions": []corev1.PodCondition{c}})
	if err == nil {
		err = s.pods.Delete(ctx, victim.Namespace, victim.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &victim.UID}})
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // gone by itself, or another one has its name
	}
	if err != nil {
		return fmt.Errorf("preempt %s/%s: %w", victim.Namespace, victim.Name, err)
	}
	p.events.Eventf(victim, corev1.EventTypeNormal, "Preempted", "Preempted by pod %v on node %v", by.UID, node)
	return nil
}

// patchStatus merges fields into the status of this very pod.
func (s *Scheduler) patchStatus(ctx context.Context, pod *corev1.Pod, status map[string]any) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return fmt.Errorf("encode the status of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	_, err = s.pods.Patch(ctx, pod.Namespace, pod.Name, types.StrategicMergePatchType, patch, "status")
	return err
}

// budgetLister gives the disruption budgets of a namespace; empty: of all.
type budgetLister interface {
	List(namespace string, selector labels.Selector) []*policyv1.PodDisruptionBudget
}
