package plugins

import (
	"math"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// What users read where a pod would stand too close to its like.
var (
	skewed    = framework.Fail("PodTopologySpread", framework.Unschedulable, "node(s) didn't match pod topology spread constraints")
	unlabeled = framework.Fail("PodTopologySpread", framework.Unresolvable, "node(s) didn't match pod topology spread constraints (missing required label)")
)

// PodTopologySpread spreads pods over domains by
// spec.topologySpreadConstraints (KEP-895), or by Defaults where a pod has
// none.
type PodTopologySpread struct {
	Sources Sources
	// Defaults are for pods without constraints; they must not have selectors.
	Defaults []corev1.TopologySpreadConstraint
	// Lenient defaults score nodes that lack one of the labels, too.
	Lenient bool
}

// systemSpread are the defaults of a scheduler that nobody configured.
func systemSpread() []corev1.TopologySpreadConstraint {
	return []corev1.TopologySpreadConstraint{
		{TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway, MaxSkew: 3},
		{TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.ScheduleAnyway, MaxSkew: 5},
	}
}

// Name implements framework.Plugin.
func (*PodTopologySpread) Name() string { return "PodTopologySpread" }

// spreadCount is a constraint with the matching pods per domain.
type spreadCount struct {
	spreadRule
	domains *framework.Domains
	counts  []int32 // by domain; -1: no eligible node is in it
	stale   bool    // least is to be found again
	least   int32
	self    int32 // 1 where the pod itself matches
}

// PreFilter implements framework.PreFilterer: it counts pods per domain.
func (p *PodTopologySpread) PreFilter(c *framework.Cycle, pod *framework.Pod) *framework.Status {
	rules, err := p.rules(pod, corev1.DoNotSchedule)
	if err != nil {
		return framework.Fail(p.Name(), framework.Error, err.Error())
	}
	if len(rules) == 0 {
		return framework.Skipped()
	}
	list := make([]*spreadCount, len(rules))
	for i, r := range rules {
		list[i] = newSpreadCount(c.View, pod, r)
	}
	if !countByClass(c.View, pod, list) {
		countByNode(c.View, pod, list)
	}
	c.Set(p.Name(), list)
	return nil
}

// countByClass counts with tallies, where every node counts; it tells whether
// it could.
func countByClass(v *framework.View, pod *framework.Pod, list []*spreadCount) bool {
	classes := make([][]*framework.Class, len(list))
	for i, s := range list {
		var few bool
		if s.domains.Partial || !s.everywhere(pod) {
			return false
		}
		if classes[i], few = matching(v, false, s.matching.Of); !few {
			return false
		}
	}
	for i, s := range list {
		clear(s.counts)
		for _, c := range classes[i] {
			s.takeIn(v.Tally(c, s.key))
		}
	}
	return true
}

func (s *spreadCount) takeIn(t *framework.Tally) {
	for d, pods := range t.Pods {
		s.counts[d] += pods - t.Ending[d]
	}
}

func countByNode(v *framework.View, pod *framework.Pod, list []*spreadCount) {
	for _, n := range v.Nodes {
		if !inAll(list, n) {
			continue
		}
		for _, s := range list {
			if s.eligible(v, pod, n) {
				s.add(s.domains.Of[n.Index], s.on(n))
			}
		}
	}
}

func newSpreadCount(v *framework.View, pod *framework.Pod, r spreadRule) *spreadCount {
	s := &spreadCount{spreadRule: r, domains: v.Domains(r.key), stale: true}
	s.counts = make([]int32, s.domains.Count)
	for i := range s.counts {
		s.counts[i] = -1
	}
	if r.selector.Matches(labelsOf(pod.Pod)) {
		s.self = 1
	}
	return s
}

// inAll tells whether a node has every label of the constraints.
func inAll(list []*spreadCount, n *framework.Node) bool {
	for _, s := range list {
		if s.domains.Of[n.Index] < 0 {
			return false
		}
	}
	return true
}

func (s *spreadCount) add(domain int32, pods int) {
	s.counts[domain] = max(s.counts[domain], 0) + int32(pods)
	s.stale = true
}

// lowest is the fewest pods that a domain has.
func (s *spreadCount) lowest() int32 {
	if !s.stale {
		return s.least
	}
	s.stale = false
	var known int32
	s.least = math.MaxInt32
	for _, n := range s.counts {
		if n >= 0 {
			known++
			s.least = min(s.least, n)
		}
	}
	if known < s.minDomains {
		s.least = 0
	}
	return s.least
}

// Filter implements framework.Filterer.
func (p *PodTopologySpread) Filter(c *framework.Cycle, _ *framework.Pod, node *framework.Node) *framework.Status {
	list, _ := c.Get(p.Name()).([]*spreadCount)
	for _, s := range list {
		domain := s.domains.Of[node.Index]
		if domain < 0 {
			return unlabeled
		}
		have := max(s.counts[domain], 0)
		if have+s.self-s.lowest() > s.maxSkew {
			return skewed
		}
	}
	return nil
}

// Adjust implements framework.Adjuster.
func (p *PodTopologySpread) Adjust(c *framework.Cycle, pod *framework.Pod, other *framework.Placed, node *framework.Node, by int) {
	list, _ := c.Get(p.Name()).([]*spreadCount)
	if other.Namespace != pod.Namespace || other.DeletionTimestamp != nil || !inAll(list, node) {
		return
	}
	for _, s := range list {
		if s.matching.Of(other.Class) && s.eligible(c.View, pod, node) {
			s.add(s.domains.Of[node.Index], by)
		}
	}
}

// Hint implements framework.Hinter: a like pod came or went, or a node changed
// its labels.
func (p *PodTopologySpread) Hint(pod *framework.Pod, ev framework.Event) bool {
	switch ev.Kind {
	case framework.PodAssigned, framework.PodFreed:
		return p.speaksOf(pod, ev.OldPod) || p.speaksOf(pod, ev.NewPod)
	case framework.NodeChanged:
		return !sameLabelsAndTaints(ev.OldNode, ev.NewNode)
	case framework.NodeAdded, framework.NodeRemoved, framework.PodChanged:
		return true
	}
	return false
}

func (p *PodTopologySpread) speaksOf(pod *framework.Pod, other *corev1.Pod) bool {
	if other == nil || other.Namespace != pod.Namespace {
		return false
	}
	rules, err := p.rules(pod, corev1.DoNotSchedule)
	if err != nil {
		return true
	}
	for i := range rules {
		if rules[i].selector.Matches(labelsOf(other)) {
			return true
		}
	}
	return false
}
