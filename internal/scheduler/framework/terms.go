package framework

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Term is one term of a pod's affinity to other pods.
type Term struct {
	Namespaces []string
	// Others selects further namespaces by their labels; nil selects none.
	Others      labels.Selector
	Selector    labels.Selector
	TopologyKey string
	Weight      int32 // of preferred terms
}

// Terms are what a pod wants of other pods near it.
type Terms struct {
	Affinity, AntiAffinity                   []Term
	PreferredAffinity, PreferredAntiAffinity []Term
}

// TermsOf reads a pod's affinity; nil where it has none. A selector that
// cannot be read selects nothing: the API does not let one in.
func TermsOf(pod *corev1.Pod) *Terms {
	a := pod.Spec.Affinity
	if a == nil || a.PodAffinity == nil && a.PodAntiAffinity == nil {
		return nil
	}
	t := &Terms{}
	if p := a.PodAffinity; p != nil {
		t.Affinity = required(pod, p.RequiredDuringSchedulingIgnoredDuringExecution)
		t.PreferredAffinity = preferred(pod, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if p := a.PodAntiAffinity; p != nil {
		t.AntiAffinity = required(pod, p.RequiredDuringSchedulingIgnoredDuringExecution)
		t.PreferredAntiAffinity = preferred(pod, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return t
}

func required(pod *corev1.Pod, list []corev1.PodAffinityTerm) []Term {
	var out []Term
	for i := range list {
		out = append(out, newTerm(pod, &list[i], 0))
	}
	return out
}

func preferred(pod *corev1.Pod, list []corev1.WeightedPodAffinityTerm) []Term {
	var out []Term
	for i := range list {
		out = append(out, newTerm(pod, &list[i].PodAffinityTerm, list[i].Weight))
	}
	return out
}

func newTerm(pod *corev1.Pod, t *corev1.PodAffinityTerm, weight int32) Term {
	out := Term{Namespaces: t.Namespaces, Selector: selector(t.LabelSelector), TopologyKey: t.TopologyKey, Weight: weight}
	if t.NamespaceSelector != nil {
		out.Others = selector(t.NamespaceSelector)
	} else if len(t.Namespaces) == 0 {
		out.Namespaces = []string{pod.Namespace}
	}
	return out
}

func selector(s *metav1.LabelSelector) labels.Selector {
	out, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return out
}

// Matches tells whether the term speaks of pods with these labels in that
// namespace; labelsOf gives a namespace's labels.
func (t *Term) Matches(namespace string, set labels.Set, labelsOf func(namespace string) labels.Set) bool {
	if !slices.Contains(t.Namespaces, namespace) {
		if t.Others == nil || !t.Others.Empty() && !t.Others.Matches(labelsOf(namespace)) {
			return false
		}
	}
	return t.Selector.Matches(set)
}
