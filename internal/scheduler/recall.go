package scheduler

import (
	"slices"
	"time"

	policyv1 "k8s.io/api/policy/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// mostRecalled bounds the shapes of pods whose answers are kept.
const mostRecalled = 4

// recall remembers what nodes said to pods that none of them took: pods that
// wait are mostly alike, and between two of them few nodes change. A node is
// asked again once it has changed; where nodes come or go, all is forgotten.
type recall struct {
	view  *framework.View
	known []*answers // the newest last
}

// answers are those to all pods of a shape, by the node's Index.
type answers struct {
	shape string
	marks []uint64            // the node's changes when it answered
	said  []*framework.Status // nil: it fits
	dry   []*dryRun           // nil: not tried
}

// dryRun is what trying to preempt pods of a node found.
type dryRun struct {
	found  *candidate
	status *framework.Status
}

// shapeOf is the pod's shape under a profile; empty where answers follow from
// more, or where room on a node is kept for this very pod.
func (s *Scheduler) shapeOf(t *trial) string {
	if _, nominated := s.nominated.byPod[t.pod.UID]; nominated || slices.ContainsFunc(t.filters, func(f filter) bool { return !f.local }) {
		return ""
	}
	shape := framework.Shape(t.pod.Pod)
	if shape == "" {
		return ""
	}
	return t.profile + "/" + shape
}

// recalled gives the answers to a pod's shape, if they are of the nodes that
// are there; nil for none.
func (s *Scheduler) recalled(t *trial) *answers {
	r := &s.recall
	if r.view != t.cycle.View {
		r.view, r.known = t.cycle.View, nil
	}
	if len(r.known) == 0 {
		return nil
	}
	shape := s.shapeOf(t)
	for _, a := range r.known {
		if a.shape == shape {
			return a
		}
	}
	return nil
}

// remember keeps the answers to a pod; nil where its shape is not known.
func (s *Scheduler) remember(t *trial, said []*framework.Status) *answers {
	shape := s.shapeOf(t)
	if shape == "" {
		return nil
	}
	a := &answers{shape: shape, marks: slices.Clone(t.cycle.View.Changes), said: slices.Clone(said), dry: make([]*dryRun, len(said))}
	r := &s.recall
	if len(r.known) == mostRecalled {
		r.known = slices.Delete(r.known, 0, 1)
	}
	r.known = append(r.known, a)
	return a
}

// askAgain asks the nodes that changed since they answered.
func (s *Scheduler) askAgain(t *trial, all []*framework.Node) {
	a := t.recalled
	for i, now := range t.cycle.View.Changes {
		if a.marks[i] != now {
			a.said[i], a.marks[i], a.dry[i] = s.ask(t, all[i]), now, nil
		}
	}
}

// recalledVictims is victimsOn, which it asks only once as long as the node
// stays as it is. Disruption budgets change by themselves.
func (s *Scheduler) recalledVictims(t *trial, node *framework.Node, budgets []*policyv1.PodDisruptionBudget, now time.Time) (*candidate, *framework.Status) {
	if t.recalled == nil || len(budgets) > 0 {
		return s.victimsOn(t, node, budgets, now)
	}
	run := t.recalled.dry[node.Index]
	if run == nil {
		run = &dryRun{}
		run.found, run.status = s.victimsOn(t, node, nil, now)
		t.recalled.dry[node.Index] = run
	}
	return run.found, run.status
}
