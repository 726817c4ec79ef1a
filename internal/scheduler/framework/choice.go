package framework

import corev1 "k8s.io/api/core/v1"

// choice is which nodes of a view a pod chooses, by Index; good for one age.
type choice struct {
	view *View
	age  int
	of   []bool
}

// mostChoices bounds the choices that a view keeps: users make them.
const mostChoices = 64

// Wants tells whether the pod's nodeSelector and required node affinity take a
// node.
func (p *Pod) Wants(node *corev1.Node) bool {
	ok, err := p.affinity.Match(node)
	return ok && err == nil
}

// Chooses is Wants for a node of a view, which remembers for all pods that
// choose alike what they want: to look at the labels of hundreds of nodes for
// each pod costs more than all else of an attempt.
func (p *Pod) Chooses(v *View, n *Node) bool {
	if !p.HasAffinity {
		return true
	}
	if p.choice.view != v || p.choice.age != v.age {
		p.choice = choice{view: v, age: v.age, of: v.chosen(p)}
	}
	return p.choice.of[n.Index]
}

// chosen is what a pod wants of each node. The answer is kept until Relabelled.
func (v *View) chosen(p *Pod) []bool {
	key := choiceKey(&p.Spec)
	if of := v.choices[key]; of != nil {
		return of
	}
	of := make([]bool, len(v.Nodes))
	for i, n := range v.Nodes {
		of[i] = p.Wants(n.Node)
	}
	if v.choices == nil || len(v.choices) >= mostChoices {
		v.choices = make(map[string][]bool)
	}
	if key != "" {
		v.choices[key] = of
	}
	return of
}

// choiceKey is the same for pods that choose alike; empty where that is not
// known.
func choiceKey(spec *corev1.PodSpec) string {
	like := corev1.PodSpec{NodeSelector: spec.NodeSelector}
	if a := spec.Affinity; a != nil && a.NodeAffinity != nil {
		like.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution,
		}}
	}
	data, err := like.Marshal()
	if err != nil {
		return ""
	}
	return string(data)
}
