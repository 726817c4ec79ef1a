package framework

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

// Whatever nodes are called by, and however many choices there are, what is
// remembered of a choice is what looking anew gives.
func TestChoicesFollowLabels(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		label := func(name string) string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, name) }
		named := func(i int) *corev1.Node {
			return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n", i), Labels: map[string]string{"type": label("type")}}}
		}
		var nodes []*Node
		for i := range 5 {
			nodes = append(nodes, NewNode(named(i)))
		}
		v := NewView(nodes, NewClasses())
		waiting := NewPod(choosing("a", ""))
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				i := rapid.IntRange(0, len(nodes)-1).Draw(t, "node")
				v.Relabelled()
				nodes[i].SetNode(named(i))
			case 1:
				for i := range mostChoices {
					NewPod(choosing(fmt.Sprint("other", i), "")).Chooses(v, nodes[0])
				}
			}
			for _, p := range []*Pod{waiting, NewPod(choosing(label("selector"), "")), NewPod(choosing("", "n3")), NewPod(choosing(label("both"), "n3")), NewPod(choosing("", ""))} {
				for _, n := range nodes {
					if got, want := p.Chooses(v, n), p.Wants(n.Node); got != want {
						t.Fatalf("%v of %s with %v: %v", p.Spec.NodeSelector, n.Name, n.Labels, got)
					}
				}
			}
		}
	})
}

// choosing is a pod for nodes of a type, and for the one of a name; either may
// be empty.
func choosing(typ, name string) *corev1.Pod {
	p := &corev1.Pod{}
	if typ != "" {
		p.Spec.NodeSelector = map[string]string{"type": typ}
	}
	if name != "" {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
				{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{name}}}}},
		}}}
	}
	return p
}
