package plugins

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// NodeAffinity follows spec.nodeSelector and node affinity, required and
// preferred, and what the profile adds for all of its pods.
type NodeAffinity struct {
	// Added must match too, and AddedPreferred counts too; nil for nothing.
	Added          *nodeaffinity.NodeSelector
	AddedPreferred *nodeaffinity.PreferredSchedulingTerms
}

// What users read where node affinity stands in the way.
var (
	affinityMismatch = framework.Fail("NodeAffinity", framework.Unresolvable, "node(s) didn't match Pod's node affinity/selector")
	enforcedMismatch = framework.Fail("NodeAffinity", framework.Unresolvable, "node(s) didn't match scheduler-enforced node affinity")
)

// Name implements framework.Plugin.
func (NodeAffinity) Name() string { return "NodeAffinity" }

// PreFilter implements framework.PreFilterer.
func (p NodeAffinity) PreFilter(_ *framework.Cycle, pod *framework.Pod) *framework.Status {
	if !pod.HasAffinity && p.Added == nil {
		return framework.Skipped()
	}
	return nil
}

// Local implements framework.Local.
func (NodeAffinity) Local() {}

// Filter implements framework.Filterer.
func (p NodeAffinity) Filter(c *framework.Cycle, pod *framework.Pod, node *framework.Node) *framework.Status {
	if p.Added != nil && !p.Added.Match(node.Node) {
		return enforcedMismatch
	}
	if pod.Chooses(c.View, node) {
		return nil
	}
	return affinityMismatch
}

// PreScore implements framework.PreScorer: it works out the preferred terms.
func (p NodeAffinity) PreScore(c *framework.Cycle, pod *framework.Pod, _ []*framework.Node) *framework.Status {
	a := pod.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || len(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
		if p.AddedPreferred == nil {
			return framework.Skipped()
		}
		return nil
	}
	terms, err := nodeaffinity.NewPreferredSchedulingTerms(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	if err != nil {
		return framework.Fail(p.Name(), framework.Error, err.Error())
	}
	c.Set(p.Name(), terms)
	return nil
}

// Score implements framework.Scorer: the sum of the weights that match.
func (p NodeAffinity) Score(c *framework.Cycle, _ *framework.Pod, node *framework.Node) int64 {
	var sum int64
	if p.AddedPreferred != nil {
		sum = p.AddedPreferred.Score(node.Node)
	}
	if terms, ok := c.Get(p.Name()).(*nodeaffinity.PreferredSchedulingTerms); ok {
		sum += terms.Score(node.Node)
	}
	return sum
}

// Normalize implements framework.Normalizer.
func (NodeAffinity) Normalize(_ *framework.Cycle, _ *framework.Pod, scores []int64) {
	scaleToMax(scores, false)
}

// Hint implements framework.Hinter.
func (p NodeAffinity) Hint(pod *framework.Pod, ev framework.Event) bool {
	switch ev.Kind {
	case framework.NodeAdded:
		return p.welcomes(pod, ev.NewNode)
	case framework.NodeChanged:
		return !equality.Semantic.DeepEqual(ev.OldNode.Labels, ev.NewNode.Labels) && p.welcomes(pod, ev.NewNode)
	}
	return ev.Kind == framework.PodChanged
}

func (p NodeAffinity) welcomes(pod *framework.Pod, node *corev1.Node) bool {
	return (p.Added == nil || p.Added.Match(node)) && pod.Wants(node)
}
