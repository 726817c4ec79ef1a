package scheduler

import (
	"cmp"
	"math"
	"slices"
	"time"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// What users read of nodes on which preemption does not help.
var (
	noVictims  = framework.Fail("DefaultPreemption", framework.Unresolvable, "No preemption victims found for incoming pod")
	notHelpful = "Preemption is not helpful for scheduling"
)

// candidate is a node with the pods that would have to go, the most important
// one first.
type candidate struct {
	node       *framework.Node
	victims    []*framework.Placed
	violations int // victims whose disruption budget forbids it
}

// victimsOn finds the fewest and least important pods whose going lets the
// pod in. The node and the notes are as before when it returns.
func (s *Scheduler) victimsOn(t *trial, node *framework.Node, budgets []*policyv1.PodDisruptionBudget, now time.Time) (*candidate, *framework.Status) {
	lower := lowerThan(framework.Priority(t.pod.Pod), node)
	if len(lower) == 0 {
		return nil, noVictims
	}
	before := t.cycle.View.Changes[node.Index]
	defer func() { node.Undone(before) }()
	for _, p := range lower {
		t.remove(node, p)
	}
	if st := s.ask(t, node); st != nil {
		for _, p := range lower {
			t.add(node, p)
		}
		return nil, st
	}
	slices.SortStableFunc(lower, func(a, b *framework.Placed) int { return byImportance(a, b, now) })
	out := &candidate{node: node}
	defer func() {
		for _, p := range out.victims {
			t.add(node, p)
		}
	}()
	violating, others := byBudget(lower, budgets)
	for i, group := range [][]*framework.Placed{violating, others} {
		for _, p := range group {
			t.add(node, p)
			if s.ask(t, node) == nil {
				continue
			}
			t.remove(node, p)
			out.victims = append(out.victims, p)
			if i == 0 {
				out.violations++
			}
		}
	}
	slices.SortStableFunc(out.victims, func(a, b *framework.Placed) int { return byImportance(a, b, now) })
	return out, nil
}

func lowerThan(priority int32, node *framework.Node) []*framework.Placed {
	out := make([]*framework.Placed, 0, node.Pods())
	node.EachPod(func(p *framework.Placed) bool {
		if framework.Priority(p.Pod) < priority {
			out = append(out, p)
		}
		return true
	})
	return out
}

// byImportance sorts higher priority first, then what runs for longer.
func byImportance(a, b *framework.Placed, now time.Time) int {
	if d := cmp.Compare(framework.Priority(b.Pod), framework.Priority(a.Pod)); d != 0 {
		return d
	}
	if d := started(a, now).Compare(started(b, now)); d != 0 {
		return d
	}
	return cmp.Compare(a.UID, b.UID) // so that a choice can be repeated
}

func started(p *framework.Placed, now time.Time) time.Time {
	if t := p.Status.StartTime; t != nil {
		return t.Time
	}
	return now
}

// byBudget parts pods whose going would break a disruption budget from the
// rest; each pod before uses its budgets up.
func byBudget(pods []*framework.Placed, budgets []*policyv1.PodDisruptionBudget) (violating, others []*framework.Placed) {
	left := make([]int32, len(budgets))
	for i, b := range budgets {
		left[i] = b.Status.DisruptionsAllowed
	}
	for _, p := range pods {
		broken := false
		for i, b := range budgets {
			if guards(b, p) {
				left[i]--
				broken = broken || left[i] < 0
			}
		}
		if broken {
			violating = append(violating, p)
		} else {
			others = append(others, p)
		}
	}
	return violating, others
}

// guards tells whether a budget counts the pod's going.
func guards(b *policyv1.PodDisruptionBudget, p *framework.Placed) bool {
	if b.Namespace != p.Namespace || len(p.Labels) == 0 {
		return false
	}
	sel, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	if err != nil || sel.Empty() || !sel.Matches(labels.Set(p.Labels)) {
		return false
	}
	_, gone := b.Status.DisruptedPods[p.Name]
	return !gone
}

// pickCandidate chooses where preemption hurts least: fewest broken budgets,
// then the lowest of the highest priorities, the lowest sum of priorities, the
// fewest victims, and last the most recently started ones.
func pickCandidate(list []*candidate, now time.Time) *candidate {
	return slices.MinFunc(list, func(a, b *candidate) int {
		return cmp.Or(
			cmp.Compare(a.violations, b.violations),
			cmp.Compare(framework.Priority(a.victims[0].Pod), framework.Priority(b.victims[0].Pod)),
			cmp.Compare(a.sum(), b.sum()),
			cmp.Compare(len(a.victims), len(b.victims)),
			b.earliest(now).Compare(a.earliest(now)),
		)
	})
}

// sum adds priorities up, each moved above zero so that more victims are never
// better than fewer.
func (c *candidate) sum() int64 {
	var out int64
	for _, p := range c.victims {
		out += int64(framework.Priority(p.Pod)) + math.MaxInt32 + 1
	}
	return out
}

// earliest is when the first of the highest victims started.
func (c *candidate) earliest(now time.Time) time.Time {
	first := started(c.victims[0], now)
	for _, p := range c.victims[1:] {
		if t := started(p, now); framework.Priority(p.Pod) == framework.Priority(c.victims[0].Pod) && t.Before(first) {
			first = t
		}
	}
	return first
}
