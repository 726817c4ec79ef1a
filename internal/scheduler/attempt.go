package scheduler

import (
	"context"
	"slices"
	"time"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
	"github.com/knarr-io/knarr/internal/scheduler/queue"
)

// Sampling of nodes in large clusters, as upstream's: all below a hundred,
// then a share that shrinks with size.
const (
	sampleAll     = 100
	sampleLeast   = 5  // percent
	sampleBase    = 50 // percent
	sampleDivisor = 125
)

// attempt tries one pod.
func (s *Scheduler) attempt(ctx context.Context, e *queue.Entry, now time.Time) {
	p := s.profiles[e.Pod.Spec.SchedulerName]
	if p == nil {
		s.queue.Drop(e.Pod.UID)
		return
	}
	t, node, failure := s.choose(p, e.Pod)
	s.metrics.attempted(p.name, failure, time.Since(now))
	if failure != nil {
		o := outcome{keep: true, why: s.deallocate(ctx, p, t)}
		if o.why == "" { // rather an idle claim than a pod that may do something
			o = s.preempt(ctx, p, t, failure, now)
		}
		s.unschedulable(ctx, p, e, failure, o, now)
		return
	}
	s.assume(e.Pod, node)
	n := p.plan(t, node)
	if n.none() {
		s.bind(ctx, p, e, node.Name, n)
		return
	}
	s.bindWithNeeds(ctx, p, e, node.Node, n)
}

// choose finds the best node for a pod. The trial is for preemption; it is nil
// where the pod was not tried on nodes.
func (s *Scheduler) choose(p *profile, pod *framework.Pod) (*trial, *framework.Node, *fitError) {
	view := s.cluster.look()
	all := view.Nodes
	if len(all) == 0 {
		return nil, nil, &fitError{}
	}
	c := framework.NewCycle(view)
	var room [16]filter
	filters, st := p.preFilter(c, pod, room[:0])
	if st != nil {
		return nil, nil, failAll(len(all), st)
	}
	t := &trial{cycle: c, pod: pod, filters: filters, profile: p.name}
	if node := s.stillNominated(t); node != nil {
		return t, node, nil
	}
	feasible, failure := s.feasible(t, all, sample(len(all), p.percent))
	switch len(feasible) {
	case 0:
		return t, nil, failure
	case 1:
		return t, feasible[0], nil
	}
	totals, st := p.rank(c, pod, feasible)
	if st != nil {
		return nil, nil, failAll(len(all), st)
	}
	return t, feasible[s.best(totals)], nil
}

// stillNominated is the node where room was made for the pod, if it fits.
func (s *Scheduler) stillNominated(t *trial) *framework.Node {
	node := s.cluster.byName[s.nominated.byPod[t.pod.UID]]
	if node == nil || node.Node == nil || s.ask(t, node) != nil {
		return nil
	}
	return node
}

// feasible looks through nodes until it has found enough. Where the last pod
// of this shape found none, nodes are asked again that changed since.
func (s *Scheduler) feasible(t *trial, all []*framework.Node, enough int) ([]*framework.Node, *fitError) {
	if t.recalled = s.recalled(t); t.recalled != nil {
		s.askAgain(t, all)
		if found := s.search(all, enough, func(n *framework.Node) bool { return t.recalled.said[n.Index] == nil }); len(found) > 0 {
			return found, nil
		}
		return nil, refused(slices.Clone(t.recalled.said))
	}
	if found := s.search(all, enough, func(n *framework.Node) bool { return s.fits(t, n) }); len(found) > 0 {
		return found, nil
	}
	failure := s.refusals(t, all)
	t.recalled = s.remember(t, failure.statuses)
	return nil, failure
}

// search looks through nodes, from where the last search ended.
func (s *Scheduler) search(all []*framework.Node, enough int, fits func(*framework.Node) bool) []*framework.Node {
	found := make([]*framework.Node, 0, enough)
	seen := 0
	for ; seen < len(all) && len(found) < enough; seen++ {
		if node := all[(s.next+seen)%len(all)]; fits(node) {
			found = append(found, node)
		}
	}
	s.next = (s.next + seen) % len(all)
	return found
}

// refusals asks every node for its reason.
func (s *Scheduler) refusals(t *trial, all []*framework.Node) *fitError {
	statuses := make([]*framework.Status, len(all))
	for _, node := range all {
		statuses[node.Index] = s.ask(t, node)
	}
	return refused(statuses)
}

// sample is how many feasible nodes are enough; percent may be zero, for a
// share that follows from their number.
func sample(nodes, percent int) int {
	if nodes < sampleAll || percent >= 100 {
		return nodes
	}
	if percent == 0 {
		percent = max(sampleBase-nodes/sampleDivisor, sampleLeast)
	}
	return max(nodes*percent/100, sampleAll)
}

// best picks one of the highest, each with the same chance.
func (s *Scheduler) best(totals []int64) int {
	best, count := 0, 1
	for i := 1; i < len(totals); i++ {
		switch {
		case totals[i] > totals[best]:
			best, count = i, 1
		case totals[i] == totals[best]:
			count++
			if s.random.IntN(count) == 0 {
				best = i
			}
		}
	}
	return best
}

// assume counts the pod as running before it is bound.
func (s *Scheduler) assume(pod *framework.Pod, node *framework.Node) {
	s.cluster.addPod(node.Name, pod.Pod, pod.Usage)
	s.placed[pod.UID] = placement{node: node.Name, pod: pod.Pod, assumed: true}
	s.leave(pod.Pod, node.Name)
}
