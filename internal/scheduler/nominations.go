package scheduler

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// nominations are the waiting pods for which room is being made on a node:
// pods of their priority or less do not take it.
type nominations struct {
	byPod  map[types.UID]string // the node
	byNode map[string][]*framework.Placed
	// chosen are the pods that were last told to go for a waiting one. Until it
	// shows that they do they count as if it did.
	chosen map[types.UID]map[types.UID]bool
}

func newNominations() *nominations {
	return &nominations{byPod: map[types.UID]string{}, byNode: map[string][]*framework.Placed{}, chosen: map[types.UID]map[types.UID]bool{}}
}

// on are the nominated pods of a node that a pod must leave room for.
func (n *nominations) on(node string, pod *framework.Pod) []*framework.Placed {
	var out []*framework.Placed
	for _, p := range n.byNode[node] {
		if p.UID != pod.UID && framework.Priority(p.Pod) >= framework.Priority(pod.Pod) {
			out = append(out, p)
		}
	}
	return out
}

// below are the nominated pods of a node with less than a priority.
func (n *nominations) below(node string, priority int32) []*framework.Placed {
	var out []*framework.Placed
	for _, p := range n.byNode[node] {
		if framework.Priority(p.Pod) < priority {
			out = append(out, p)
		}
	}
	return out
}

// nominate keeps room for a pod on a node; an empty one keeps none.
func (s *Scheduler) nominate(pod *framework.Pod, node string) {
	s.leave(pod.Pod, node)
	if node == "" {
		return
	}
	n := s.nominated
	n.byPod[pod.UID] = node
	s.touch(node)
	n.byNode[node] = append(n.byNode[node], &framework.Placed{Pod: pod.Pod, Usage: pod.Usage, Class: s.cluster.classes.Take(pod.Pod)})
}

// touch tells a node that other pods are nominated for it.
func (s *Scheduler) touch(node string) {
	if n := s.cluster.byName[node]; n != nil {
		n.Touch()
	}
}

func (s *Scheduler) unnominate(uid types.UID) {
	n := s.nominated
	node, ok := n.byPod[uid]
	if !ok {
		return
	}
	delete(n.byPod, uid)
	s.touch(node)
	n.byNode[node] = slices.DeleteFunc(n.byNode[node], func(p *framework.Placed) bool {
		if p.UID == uid {
			s.cluster.classes.Drop(p.Class)
			return true
		}
		return false
	})
	if len(n.byNode[node]) == 0 {
		delete(n.byNode, node)
	}
}

// leave ends a pod's nomination. Unless it goes to that very node, the room that
// was kept is free for others.
func (s *Scheduler) leave(pod *corev1.Pod, goes string) {
	node, kept := s.nominated.byPod[pod.UID]
	s.unnominate(pod.UID)
	if kept && node != goes {
		s.queue.Happened(framework.Event{Kind: framework.PodFreed, OldPod: pod}, time.Now())
	}
}

// trial is one pod's attempt: the cycle's notes and the filters to ask.
type trial struct {
	cycle   *framework.Cycle
	pod     *framework.Pod
	filters []filter
	// refuser is the filter that said no last: it is the likeliest to say so
	// of the next node.
	refuser int
	// profile is the name of the pod's; recalled are the nodes' answers to pods
	// of its shape, nil where none are known.
	profile  string
	recalled *answers
}

// fits is ask for those who do not want to know the reason.
func (s *Scheduler) fits(t *trial, node *framework.Node) bool {
	if len(s.nominated.byPod) > 0 {
		return s.ask(t, node) == nil
	}
	if len(t.filters) == 0 {
		return true
	}
	if t.filters[t.refuser].filter.Filter(t.cycle, t.pod, node) != nil {
		return false
	}
	for i := range t.filters {
		if i != t.refuser && t.filters[i].filter.Filter(t.cycle, t.pod, node) != nil {
			t.refuser = i
			return false
		}
	}
	return true
}

// ask puts a node to the filters until one says no. Where pods are nominated
// the pod must fit with them and, since they may never come, without them.
func (s *Scheduler) ask(t *trial, node *framework.Node) *framework.Status {
	if len(s.nominated.byPod) == 0 {
		return t.ask(node)
	}
	if others := s.nominated.on(node.Name, t.pod); len(others) > 0 {
		before := t.cycle.View.Changes[node.Index]
		for _, p := range others {
			t.add(node, p)
		}
		st := t.ask(node)
		for _, p := range others {
			t.remove(node, p)
		}
		node.Undone(before)
		if st != nil {
			return st
		}
	}
	return t.ask(node)
}

func (t *trial) ask(node *framework.Node) *framework.Status {
	for i := range t.filters {
		if st := t.filters[i].filter.Filter(t.cycle, t.pod, node); st != nil {
			return st
		}
	}
	return nil
}

// add counts another pod on the node for the length of the trial.
func (t *trial) add(node *framework.Node, p *framework.Placed) {
	node.Add(p)
	t.adjust(node, p, 1)
}

// remove takes another pod off the node; add undoes it.
func (t *trial) remove(node *framework.Node, p *framework.Placed) {
	node.Remove(p.UID)
	t.adjust(node, p, -1)
}

func (t *trial) adjust(node *framework.Node, p *framework.Placed, by int) {
	for i := range t.filters {
		if a := t.filters[i].adjust; a != nil {
			a.Adjust(t.cycle, t.pod, p, node, by)
		}
	}
}
