package plugins

import (
	"math"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// spreadScore is what the scores of one attempt are made of.
type spreadScore struct {
	rules   []spreadWeight
	ignored map[int]bool // nodes, by Index
	order   []int        // the feasible nodes' Index, as they are scored
}

// spreadWeight is a soft constraint with the matching pods per domain. Pods on
// one host are counted when the node is scored.
type spreadWeight struct {
	spreadRule
	domains *framework.Domains
	counts  []int64
	weight  float64
}

const spreadScoreNote = "PodTopologySpread/score"

// PreScore implements framework.PreScorer.
func (p *PodTopologySpread) PreScore(c *framework.Cycle, pod *framework.Pod, nodes []*framework.Node) *framework.Status {
	rules, err := p.rules(pod, corev1.ScheduleAnyway)
	if err != nil {
		return framework.Fail(p.Name(), framework.Error, err.Error())
	}
	if len(rules) == 0 {
		return framework.Skipped()
	}
	strict := len(pod.Spec.TopologySpreadConstraints) > 0 || !p.Lenient
	s := &spreadScore{ignored: map[int]bool{}}
	for _, r := range rules {
		s.rules = append(s.rules, spreadWeight{spreadRule: r, domains: c.View.Domains(r.key)})
	}
	for _, n := range nodes {
		s.order = append(s.order, n.Index)
		if strict && !s.inAll(n) {
			s.ignored[n.Index] = true
		}
	}
	for i := range s.rules {
		s.rules[i].weigh(nodes, s.ignored)
		if s.rules[i].key != corev1.LabelHostname {
			s.count(c.View, pod, &s.rules[i], strict)
		}
	}
	c.Set(spreadScoreNote, s)
	return nil
}

func (s *spreadScore) inAll(n *framework.Node) bool {
	for i := range s.rules {
		if s.rules[i].domains.Of[n.Index] < 0 {
			return false
		}
	}
	return true
}

// weigh makes a constraint weigh more that has more domains, since counts per
// domain are smaller there.
func (w *spreadWeight) weigh(nodes []*framework.Node, ignored map[int]bool) {
	if w.key == corev1.LabelHostname {
		w.weight = math.Log(float64(len(nodes) - len(ignored) + 2))
		return
	}
	w.counts = make([]int64, w.domains.Count)
	for i := range w.counts {
		w.counts[i] = -1
	}
	size, unlabeled := 0, 0
	for _, n := range nodes {
		if ignored[n.Index] {
			continue
		}
		d := w.domains.Of[n.Index]
		if d < 0 {
			unlabeled = 1 // nodes without the label are one domain for the size
		} else if w.counts[d] < 0 {
			w.counts[d] = 0
			size++
		}
	}
	w.weight = math.Log(float64(size + unlabeled + 2))
}

// count fills in the pods per domain from all nodes, feasible or not.
func (s *spreadScore) count(v *framework.View, pod *framework.Pod, w *spreadWeight, strict bool) {
	if w.everywhere(pod) && (!strict || !s.partial()) {
		if classes, few := matching(v, false, w.matching.Of); few {
			for _, c := range classes {
				w.takeIn(v.Tally(c, w.key))
			}
			return
		}
	}
	for _, n := range v.Nodes {
		d := w.domains.Of[n.Index]
		if d < 0 || w.counts[d] < 0 || strict && !s.inAll(n) || !w.eligible(v, pod, n) {
			continue
		}
		w.counts[d] += int64(w.on(n))
	}
}

// partial tells whether some node lacks a label of the constraints.
func (s *spreadScore) partial() bool {
	for i := range s.rules {
		if s.rules[i].domains.Partial {
			return true
		}
	}
	return false
}

func (w *spreadWeight) takeIn(t *framework.Tally) {
	for d, pods := range t.Pods {
		if w.counts[d] >= 0 {
			w.counts[d] += int64(pods - t.Ending[d])
		}
	}
}

// Score implements framework.Scorer: how many like pods are near; less is
// better, which Normalize turns around.
func (p *PodTopologySpread) Score(c *framework.Cycle, _ *framework.Pod, node *framework.Node) int64 {
	s, ok := c.Get(spreadScoreNote).(*spreadScore)
	if !ok || s.ignored[node.Index] {
		return 0
	}
	var sum float64
	for i := range s.rules {
		w := &s.rules[i]
		d := w.domains.Of[node.Index]
		if d < 0 {
			continue
		}
		near := int64(0)
		if w.key == corev1.LabelHostname {
			near = int64(w.on(node))
		} else {
			near = w.counts[d]
		}
		sum += float64(near)*w.weight + float64(w.maxSkew-1)
	}
	return int64(math.Round(sum))
}

// Normalize implements framework.Normalizer.
func (p *PodTopologySpread) Normalize(c *framework.Cycle, _ *framework.Pod, scores []int64) {
	s, ok := c.Get(spreadScoreNote).(*spreadScore)
	if !ok {
		return
	}
	least, most := int64(math.MaxInt64), int64(0)
	for i, score := range scores {
		if !s.ignored[s.order[i]] {
			least, most = min(least, score), max(most, score)
		}
	}
	for i, score := range scores {
		switch {
		case s.ignored[s.order[i]]:
			scores[i] = 0
		case most == 0:
			scores[i] = framework.MaxScore
		default:
			scores[i] = framework.MaxScore * (most + least - score) / most
		}
	}
}
