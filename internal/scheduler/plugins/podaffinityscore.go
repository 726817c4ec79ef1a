package plugins

import (
	"math"
	"slices"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

const podAffinityScoreNote = "InterPodAffinity/score"

// attraction sums weights per domain; negative ones repel.
type attraction struct {
	plugin *InterPodAffinity
	view   *framework.View
	pod    *framework.Pod
	sums   domainCounts
	some   bool
	own    []weighted
	// others are what the terms of other classes give for the pod, by class.
	others map[*framework.Class][]pull
}

// weighted is a preferred term of the pod.
type weighted struct {
	key     string
	weight  int64
	matches *framework.Memo
}

// pull is a weight under a topology key.
type pull struct {
	key    string
	weight int64
}

// PreScore implements framework.PreScorer.
func (p *InterPodAffinity) PreScore(c *framework.Cycle, pod *framework.Pod, _ []*framework.Node) *framework.Status {
	a := &attraction{plugin: p, view: c.View, pod: pod, sums: domainCounts{}, others: map[*framework.Class][]pull{}}
	a.readOwn()
	if p.IgnoreOthersPreferred && len(a.own) == 0 {
		return framework.Skipped()
	}
	if classes, few := matching(c.View, len(a.own) == 0, a.concerns); few {
		for _, class := range classes {
			a.count(share{view: c.View, class: class})
		}
	} else {
		a.countByNode()
	}
	if !a.some {
		return framework.Skipped()
	}
	c.Set(podAffinityScoreNote, a)
	return nil
}

func (a *attraction) readOwn() {
	if a.pod.Terms == nil {
		return
	}
	take := func(terms []framework.Term, sign int64) {
		for i := range terms {
			t := &terms[i]
			a.own = append(a.own, weighted{key: t.TopologyKey, weight: sign * int64(t.Weight), matches: framework.NewMemo(func(c *framework.Class) bool {
				return t.Matches(c.Namespace, c.Labels, a.plugin.Sources.namespace)
			})})
		}
	}
	take(a.pod.Terms.PreferredAffinity, 1)
	take(a.pod.Terms.PreferredAntiAffinity, -1)
}

// concerns tells whether pods of a class count at all.
func (a *attraction) concerns(c *framework.Class) bool {
	for i := range a.own {
		if a.own[i].matches.Of(c) {
			return true
		}
	}
	return len(a.pullsOf(c)) > 0
}

func (a *attraction) countByNode() {
	for _, n := range a.view.Nodes {
		if n.Wary == 0 && len(a.own) == 0 || len(n.Labels) == 0 {
			continue
		}
		for i := range n.Groups {
			a.count(share{view: a.view, class: n.Groups[i].Class, node: n, by: int64(n.Groups[i].Count)})
		}
	}
}

// count takes pods of a class in.
func (a *attraction) count(of share) {
	for i := range a.own {
		if w := &a.own[i]; w.matches.Of(of.class) {
			a.add(w.key, of, w.weight)
		}
	}
	for _, p := range a.pullsOf(of.class) {
		a.add(p.key, of, p.weight)
	}
}

// add counts pods under a key; those whose nodes lack it are none.
func (a *attraction) add(key string, of share, weight int64) {
	if of.node != nil && a.view.Domains(key).Of[of.node.Index] < 0 {
		return
	}
	a.some = a.some || of.node != nil || slices.ContainsFunc(a.view.Tally(of.class, key).Pods, func(pods int32) bool { return pods > 0 })
	a.sums.add(key, of, weight)
}

// pullsOf is what the terms of a class give for the pod.
func (a *attraction) pullsOf(c *framework.Class) []pull {
	if c.Terms == nil {
		return nil
	}
	have, known := a.others[c]
	if !known {
		have = a.pulls(c.Terms)
		a.others[c] = have
	}
	return have
}

// pulls is what the terms of another pod give for this one.
func (a *attraction) pulls(t *framework.Terms) []pull {
	var out []pull
	take := func(terms []framework.Term, weight func(*framework.Term) int64) {
		for i := range terms {
			if terms[i].Matches(a.pod.Namespace, a.pod.Labels, a.plugin.Sources.namespace) {
				out = append(out, pull{key: terms[i].TopologyKey, weight: weight(&terms[i])})
			}
		}
	}
	if a.plugin.HardWeight > 0 {
		take(t.Affinity, func(*framework.Term) int64 { return int64(a.plugin.HardWeight) })
	}
	take(t.PreferredAffinity, func(t *framework.Term) int64 { return int64(t.Weight) })
	take(t.PreferredAntiAffinity, func(t *framework.Term) int64 { return -int64(t.Weight) })
	return out
}

// Score implements framework.Scorer.
func (p *InterPodAffinity) Score(c *framework.Cycle, _ *framework.Pod, node *framework.Node) int64 {
	a, ok := c.Get(podAffinityScoreNote).(*attraction)
	if !ok {
		return 0
	}
	var sum int64
	for key := range a.sums {
		n, _ := a.sums.near(c.View, key, node)
		sum += n
	}
	return sum
}

// Normalize implements framework.Normalizer: the least attractive node gets
// nothing, the most attractive one all.
func (p *InterPodAffinity) Normalize(c *framework.Cycle, _ *framework.Pod, scores []int64) {
	if c.Get(podAffinityScoreNote) == nil {
		return
	}
	least, most := int64(math.MaxInt64), int64(math.MinInt64)
	for _, s := range scores {
		least, most = min(least, s), max(most, s)
	}
	for i, s := range scores {
		scores[i] = 0
		if most > least {
			scores[i] = int64(float64(framework.MaxScore) * (float64(s-least) / float64(most-least)))
		}
	}
}
