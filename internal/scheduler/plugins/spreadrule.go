package plugins

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// spreadRule is a constraint, read.
type spreadRule struct {
	key                        string
	maxSkew, minDomains        int32
	selector                   labels.Selector
	honorAffinity, honorTaints bool
	// matching are the classes that the constraint counts.
	matching *framework.Memo
}

// rules are the pod's constraints of a kind, or the defaults.
func (p *PodTopologySpread) rules(pod *framework.Pod, when corev1.UnsatisfiableConstraintAction) ([]spreadRule, error) {
	if own := pod.Spec.TopologySpreadConstraints; len(own) > 0 {
		return readRules(own, pod, when, nil)
	}
	var some bool
	for i := range p.Defaults {
		some = some || p.Defaults[i].WhenUnsatisfiable == when
	}
	if !some {
		return nil, nil
	}
	like := p.Sources.siblings(pod.Pod)
	if like == nil {
		return nil, nil
	}
	return readRules(p.Defaults, pod, when, like)
}

// readRules reads constraints; like stands in for their selectors unless nil.
func readRules(list []corev1.TopologySpreadConstraint, pod *framework.Pod, when corev1.UnsatisfiableConstraintAction, like labels.Selector) ([]spreadRule, error) {
	var out []spreadRule
	for i := range list {
		c := &list[i]
		if c.WhenUnsatisfiable != when {
			continue
		}
		r := spreadRule{key: c.TopologyKey, maxSkew: c.MaxSkew, minDomains: 1, selector: like, honorAffinity: true}
		if like == nil {
			sel, err := metav1.LabelSelectorAsSelector(c.LabelSelector)
			if err != nil {
				return nil, err
			}
			r.selector = withKeys(sel, c.MatchLabelKeys, pod.Labels)
		}
		if c.MinDomains != nil {
			r.minDomains = *c.MinDomains
		}
		if c.NodeAffinityPolicy != nil {
			r.honorAffinity = *c.NodeAffinityPolicy == corev1.NodeInclusionPolicyHonor
		}
		if c.NodeTaintsPolicy != nil {
			r.honorTaints = *c.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor
		}
		r.matching = matchingIn(pod.Namespace, r.selector)
		out = append(out, r)
	}
	return out, nil
}

// matchingIn is whether a class is of a namespace and selected. An empty
// selector counts no pods here.
func matchingIn(namespace string, sel labels.Selector) *framework.Memo {
	return framework.NewMemo(func(c *framework.Class) bool {
		return c.Namespace == namespace && !sel.Empty() && sel.Matches(c.Labels)
	})
}

// withKeys narrows a selector to the pod's own values of the keys.
func withKeys(sel labels.Selector, keys []string, own map[string]string) labels.Selector {
	set := labels.Set{}
	for _, k := range keys {
		if v, ok := own[k]; ok {
			set[k] = v
		}
	}
	requirements, ok := sel.Requirements()
	if len(set) == 0 || !ok {
		return sel
	}
	return labels.SelectorFromValidatedSet(set).Add(requirements...)
}

// everywhere tells whether the pods of every node count that has the label.
func (r *spreadRule) everywhere(pod *framework.Pod) bool {
	return !(r.honorAffinity && pod.HasAffinity) && !r.honorTaints
}

// eligible tells whether a node's pods count.
func (r *spreadRule) eligible(v *framework.View, pod *framework.Pod, n *framework.Node) bool {
	if r.honorAffinity && !pod.Chooses(v, n) {
		return false
	}
	if r.honorTaints {
		for i := range n.Hard {
			if !tolerated(pod.Spec.Tolerations, &n.Hard[i]) {
				return false
			}
		}
	}
	return true
}

// on counts the matching pods of a node; those that are ending do not count.
func (r *spreadRule) on(n *framework.Node) int {
	count := 0
	for i := range n.Groups {
		if g := &n.Groups[i]; r.matching.Of(g.Class) {
			count += g.Count - g.Ending
		}
	}
	return count
}

func labelsOf(pod *corev1.Pod) labels.Set { return pod.Labels }

func sameLabelsAndTaints(a, b *corev1.Node) bool {
	return maps.Equal(a.Labels, b.Labels) && equality.Semantic.DeepEqual(a.Spec.Taints, b.Spec.Taints)
}
