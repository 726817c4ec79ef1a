package plugins

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// What users read where other pods stand in the way.
var (
	affinityUnmet     = framework.Fail("InterPodAffinity", framework.Unresolvable, "node(s) didn't match pod affinity rules")
	antiAffinityUnmet = framework.Fail("InterPodAffinity", framework.Unschedulable, "node(s) didn't match pod anti-affinity rules")
	othersUnwilling   = framework.Fail("InterPodAffinity", framework.Unschedulable, "node(s) didn't satisfy existing pods anti-affinity rules")
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

// share is pods of a class: so many of a node, or all there are where the node
// is nil.
type share struct {
	view  *framework.View
	class *framework.Class
	node  *framework.Node
	by    int64
}

// add counts pods by the domains of a key, each of them weight times.
func (d domainCounts) add(key string, s share, weight int64) {
	c := d[key]
	if c == nil {
		domains := s.view.Domains(key)
		c = &domainCount{domains: domains, counts: make([]int64, domains.Count)}
		d[key] = c
	}
	if s.node == nil {
		for at, pods := range s.view.Tally(s.class, key).Pods {
			c.counts[at] += weight * int64(pods)
			c.total += weight * int64(pods)
		}
		return
	}
	if at := c.domains.Of[s.node.Index]; at >= 0 {
		c.counts[at] += weight * s.by
		c.total += weight * s.by
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
	if classes, few := matching(c.View, !own, s.concerns); few {
		for _, class := range classes {
			s.count(pod, p, share{view: c.View, class: class})
		}
	} else {
		s.countByNode(c.View, pod, p, own)
	}
	if !own && s.excluded.none() {
		return framework.Skipped()
	}
	c.Set(p.Name(), s)
	return nil
}

// concerns tells whether pods of a class count at all.
func (s *affinityState) concerns(c *framework.Class) bool {
	for _, m := range s.repelling {
		if m.Of(c) {
			return true
		}
	}
	return s.attracting.Of(c) || s.excluding.Of(c)
}

func (s *affinityState) countByNode(v *framework.View, pod *framework.Pod, p *InterPodAffinity, own bool) {
	for _, n := range v.Nodes {
		if n.Wary == 0 && !own {
			continue
		}
		for i := range n.Groups {
			s.count(pod, p, share{view: v, class: n.Groups[i].Class, node: n, by: int64(n.Groups[i].Count)})
		}
	}
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

// count takes pods of a class in or out.
func (s *affinityState) count(pod *framework.Pod, p *InterPodAffinity, of share) {
	if s.attracting.Of(of.class) {
		for i := range s.wanted {
			s.attracted.add(s.wanted[i].TopologyKey, of, 1)
		}
	}
	for i, m := range s.repelling {
		if m.Of(of.class) {
			s.repelled.add(s.unwanted[i].TopologyKey, of, 1)
		}
	}
	if !s.excluding.Of(of.class) {
		return
	}
	for i := range of.class.Terms.AntiAffinity {
		t := &of.class.Terms.AntiAffinity[i]
		if t.Matches(pod.Namespace, pod.Labels, p.Sources.namespace) {
			s.excluded.add(t.TopologyKey, of, 1)
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
		return affinityUnmet
	}
	for i := range s.unwanted {
		if n, _ := s.repelled.near(c.View, s.unwanted[i].TopologyKey, node); n > 0 {
			return antiAffinityUnmet
		}
	}
	for key := range s.excluded {
		if n, _ := s.excluded.near(c.View, key, node); n > 0 {
			return othersUnwilling
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
		s.count(pod, p, share{view: c.View, class: other.Class, node: node, by: int64(by)})
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
