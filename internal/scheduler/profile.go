package scheduler

import (
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/scheduler/framework"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
)

// profile is a Profile sorted by what its plugins do.
type profile struct {
	name    string
	percent int
	gates   []framework.PreEnqueuer
	filters []filter
	scores  []score
	// preemption is nil where pods of the profile displace none.
	preemption *plugins.DefaultPreemption
	volumes    *plugins.VolumeBinding    // nil: pods go as if they had no claims
	devices    *plugins.DynamicResources // nil: likewise for devices
	events     *record.Recorder
}

type filter struct {
	plugin framework.Plugin
	pre    framework.PreFilterer // nil: none
	filter framework.Filterer    // nil: none
	adjust framework.Adjuster    // nil: none
	local  bool                  // the answer follows from the node and the pod's shape
}

type score struct {
	plugin framework.Plugin
	pre    framework.PreScorer // nil: none
	score  framework.Scorer
	norm   framework.Normalizer // nil: none
	weight int64
}

func newProfile(p Profile, events *record.Recorder) *profile {
	out := &profile{name: p.Name, events: events, percent: p.Percent, gates: appendGates(nil, p.Plugins)}
	for _, w := range p.Plugins {
		pre, hasPre := at[framework.PreFilterer](w, plugins.PreFilter)
		f, hasFilter := at[framework.Filterer](w, plugins.Filter)
		if hasPre || hasFilter {
			adjust, _ := w.Plugin.(framework.Adjuster)
			_, local := w.Plugin.(framework.Local)
			out.filters = append(out.filters, filter{plugin: w.Plugin, pre: pre, filter: f, adjust: adjust, local: local})
		}
		if v, ok := w.Plugin.(*plugins.VolumeBinding); ok {
			out.volumes = v
		}
		if d, ok := w.Plugin.(*plugins.DynamicResources); ok {
			out.devices = d
		}
		if d, ok := at[plugins.DefaultPreemption](w, plugins.PostFilter); ok {
			out.preemption = &d
		}
		if s, ok := at[framework.Scorer](w, plugins.Score); ok && w.Weight > 0 {
			preScore, _ := at[framework.PreScorer](w, plugins.PreScore)
			norm, _ := w.Plugin.(framework.Normalizer)
			out.scores = append(out.scores, score{plugin: w.Plugin, pre: preScore, score: s, norm: norm, weight: w.Weight})
		}
	}
	return out
}

// at is the plugin as it speaks at a point, unless it is not asked there.
func at[T any](w plugins.Weighted, point plugins.Point) (as T, ok bool) {
	if w.Without&point == 0 {
		as, ok = any(w.Plugin).(T)
	}
	return as, ok
}

// preFilter looks at the pod and gives the filters to ask of each node; a
// status ends the attempt.
func (p *profile) preFilter(c *framework.Cycle, pod *framework.Pod, into []filter) ([]filter, *framework.Status) {
	for _, f := range p.filters {
		if f.pre != nil {
			st := f.pre.PreFilter(c, pod)
			if st.Is(framework.Skip) {
				continue
			}
			if st != nil {
				return nil, st
			}
		}
		if f.filter != nil {
			into = append(into, f)
		}
	}
	return into, nil
}

// plan is what the pod's claims need before it goes to the node.
func (p *profile) plan(t *trial, node *framework.Node) needs {
	var n needs
	if p.volumes != nil {
		n.volumes = p.volumes.Plan(t.cycle, node.Name)
	}
	if p.devices != nil {
		n.devices = p.devices.Plan(t.cycle, node.Name)
	}
	return n
}

// rank gives the total score of each node.
func (p *profile) rank(c *framework.Cycle, pod *framework.Pod, nodes []*framework.Node) ([]int64, *framework.Status) {
	totals := make([]int64, len(nodes))
	st := p.eachScore(c, pod, nodes, func(s score, scores []int64) {
		for i := range scores {
			totals[i] += scores[i] * s.weight
		}
	})
	return totals, st
}

// eachScore tells the normalized scores of each plugin that has something to
// say; they are used again for the next.
func (p *profile) eachScore(c *framework.Cycle, pod *framework.Pod, nodes []*framework.Node, tell func(score, []int64)) *framework.Status {
	scores := make([]int64, len(nodes))
	for _, s := range p.scores {
		if s.pre != nil {
			st := s.pre.PreScore(c, pod, nodes)
			if st.Is(framework.Skip) {
				continue
			}
			if st != nil {
				return st
			}
		}
		for i, n := range nodes {
			scores[i] = s.score.Score(c, pod, n)
		}
		if s.norm != nil {
			s.norm.Normalize(c, pod, scores)
		}
		tell(s, scores)
	}
	return nil
}

// byName finds a plugin of the profile's filters; nil where there is none.
func (p *profile) byName(name string) framework.Plugin {
	for _, f := range p.filters {
		if f.plugin.Name() == name {
			return f.plugin
		}
	}
	return nil
}
