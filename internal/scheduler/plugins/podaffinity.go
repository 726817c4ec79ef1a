package plugins

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// What users read where other pods stand in the way.
const (
	affinityUnmet     = "node(s) didn't match pod affinity rules"
	antiAffinityUnmet = "node(s) didn't match pod anti-affinity rules"
	othersUnwilling   = "node(s) didn't satisfy existing pods anti-affinity rules"
)

// InterPodAffinity puts pods near to and away from other pods, as their and
// the others' terms say.
type InterPodAffinity struct {
	Sources Sources
	// HardWeight is how much a required affinity of another pod attracts
	// (upstream's default is 1).
	HardWeight int32
	// IgnoreOthersPreferred leaves the preferences of others out for pods that
	// have none themselves.
	IgnoreOthersPreferred bool
}

// Name implements framework.Plugin.
func (*InterPodAffinity) Name() string { return "InterPodAffinity" }

// domainCounts are pods per domain of each topology key.
type domainCounts map[string]*domainCount

type domainCount struct {
	domains *framework.Domains
	counts  []int64
	total   int64
}

func (d domainCounts) add(v *framework.View, key string, node *framework.Node, by int64) {
	c := d[key]
	if c == nil {
		domains := v.Domains(key)
		c = &domainCount{domains: domains, counts: make([]int64, domains.Count)}
		d[key] = c
	}
	if at := c.domains.Of[node.Index]; at >= 0 {
		c.counts[at] += by
		c.total += by
	}
}

// near is the count of the node's domain; ok is false without the label.
func (d domainCounts) near(v *framework.View, key string, node *framework.Node) (n int64, ok bool) {
	if c := d[key]; c != nil {
		at := c.domains.Of[node.Index]
		if at < 0 {
			return 0, false
		}
		return c.counts[at], true
	}
	return 0, v.Domains(key).Of[node.Index] >= 0
}

// none tells whether nothing is counted.
func (d domainCounts) none() bool {
	for _, c := range d {
		if c.total != 0 {
			return false
		}
	}
	return true
}

// affinityState is what required terms need.
type affinityState struct {
	wanted, unwanted []framework.Term
	// attracting: the class matches all wanted terms.
	attracting *framework.Memo
	repelling  []*framework.Memo // one per unwanted term
	// excluding are the classes that have a term against the pod.
	excluding *framework.Memo

	attracted, repelled, excluded domainCounts
}

// PreFilter implements framework.PreFilterer: it counts the pods that matter
// per domain.
func (p *InterPodAffinity) PreFilter(c *framework.Cycle, pod *framework.Pod) *framework.Status {
	s := p.state(pod)
	own := len(s.wanted)+len(s.unwanted) > 0
	for _, n := range c.View.Nodes {
		if n.Wary == 0 && !own {
			continue
		}
		for i := range n.Groups {
			s.count(c.View, pod, p, n.Groups[i].Class, n, int64(n.Groups[i].Count))
		}
	}
	if !own && s.excluded.none() {
		return framework.Skipped()
	}
	c.Set(p.Name(), s)
	return nil
}

func (p *InterPodAffinity) state(pod *framework.Pod) *affinityState {
	s := &affinityState{attracted: domainCounts{}, repelled: domainCounts{}, excluded: domainCounts{}}
	if pod.Terms != nil {
		s.wanted, s.unwanted = pod.Terms.Affinity, pod.Terms.AntiAffinity
	}
	s.attracting = framework.NewMemo(func(c *framework.Class) bool { return p.allMatch(s.wanted, c.Namespace, c.Labels) })
	for i := range s.unwanted {
		term := &s.unwanted[i]
		s.repelling = append(s.repelling, framework.NewMemo(func(c *framework.Class) bool {
			return term.Matches(c.Namespace, c.Labels, p.Sources.namespace)
		}))
	}
	s.excluding = framework.NewMemo(func(c *framework.Class) bool {
		if c.Terms == nil {
			return false
		}
		for i := range c.Terms.AntiAffinity {
			if c.Terms.AntiAffinity[i].Matches(pod.Namespace, pod.Labels, p.Sources.namespace) {
				return true
			}
		}
		return false
	})
	return s
}

func (p *InterPodAffinity) allMatch(terms []framework.Term, namespace string, set labels.Set) bool {
	for i := range terms {
		if !terms[i].Matches(namespace, set, p.Sources.namespace) {
			return false
		}
	}
	return len(terms) > 0
}

// count takes pods of a class on a node in or out.
func (s *affinityState) count(v *framework.View, pod *framework.Pod, p *InterPodAffinity, c *framework.Class, n *framework.Node, by int64) {
	if s.attracting.Of(c) {
		for i := range s.wanted {
			s.attracted.add(v, s.wanted[i].TopologyKey, n, by)
		}
	}
	for i, m := range s.repelling {
		if m.Of(c) {
			s.repelled.add(v, s.unwanted[i].TopologyKey, n, by)
		}
	}
	if !s.excluding.Of(c) {
		return
	}
	for i := range c.Terms.AntiAffinity {
		t := &c.Terms.AntiAffinity[i]
		if t.Matches(pod.Namespace, pod.Labels, p.Sources.namespace) {
			s.excluded.add(v, t.TopologyKey, n, by)
		}
	}
}

// Filter implements framework.Filterer.
func (p *InterPodAffinity) Filter(c *framework.Cycle, pod *framework.Pod, node *framework.Node) *framework.Status {
	s, ok := c.Get(p.Name()).(*affinityState)
	if !ok {
		return nil
	}
	if !p.attracted(c.View, s, pod, node) {
		return framework.Fail(p.Name(), framework.Unresolvable, affinityUnmet)
	}
	for i := range s.unwanted {
		if n, _ := s.repelled.near(c.View, s.unwanted[i].TopologyKey, node); n > 0 {
			return framework.Fail(p.Name(), framework.Unschedulable, antiAffinityUnmet)
		}
	}
	for key := range s.excluded {
		if n, _ := s.excluded.near(c.View, key, node); n > 0 {
			return framework.Fail(p.Name(), framework.Unschedulable, othersUnwilling)
		}
	}
	return nil
}

// attracted tells whether every wanted term has a match near the node. The
// first of pods that want each other's company may go anywhere that has the
// labels.
func (p *InterPodAffinity) attracted(v *framework.View, s *affinityState, pod *framework.Pod, node *framework.Node) bool {
	all := true
	for i := range s.wanted {
		n, labelled := s.attracted.near(v, s.wanted[i].TopologyKey, node)
		if !labelled {
			return false
		}
		all = all && n > 0
	}
	return all || s.attracted.none() && p.allMatch(s.wanted, pod.Namespace, pod.Labels)
}

// Adjust implements framework.Adjuster.
func (p *InterPodAffinity) Adjust(c *framework.Cycle, pod *framework.Pod, other *framework.Placed, node *framework.Node, by int) {
	if s, ok := c.Get(p.Name()).(*affinityState); ok {
		s.count(c.View, pod, p, other.Class, node, int64(by))
	}
}

// Hint implements framework.Hinter.
func (p *InterPodAffinity) Hint(pod *framework.Pod, ev framework.Event) bool {
	switch ev.Kind {
	case framework.PodAssigned, framework.PodFreed:
		return p.concerns(pod, ev.OldPod) || p.concerns(pod, ev.NewPod)
	case framework.NodeChanged:
		return !maps.Equal(ev.OldNode.Labels, ev.NewNode.Labels)
	case framework.ObjectChanged:
		_, before := ev.Old.(*corev1.Namespace)
		_, after := ev.New.(*corev1.Namespace)
		return before || after
	}
	return ev.Kind == framework.NodeAdded || ev.Kind == framework.PodChanged
}

// concerns tells whether terms of either pod speak of the other.
func (p *InterPodAffinity) concerns(pod *framework.Pod, other *corev1.Pod) bool {
	if other == nil {
		return false
	}
	speak := func(terms []framework.Term, of *corev1.Pod) bool {
		for i := range terms {
			if terms[i].Matches(of.Namespace, of.Labels, p.Sources.namespace) {
				return true
			}
		}
		return false
	}
	if t := pod.Terms; t != nil && (speak(t.Affinity, other) || speak(t.AntiAffinity, other)) {
		return true
	}
	if a := other.Spec.Affinity; a == nil || a.PodAntiAffinity == nil {
		return false
	}
	return speak(framework.TermsOf(other).AntiAffinity, pod.Pod)
}
