package main

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func (d dice) affinity() *corev1.Affinity {
	a := &corev1.Affinity{}
	if d.in(3) {
		a.NodeAffinity = d.nodeAffinity()
	}
	if d.in(2) {
		a.PodAffinity = &corev1.PodAffinity{}
		if d.in(2) {
			a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution = d.terms()
		}
		if d.in(2) {
			a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution = d.weighted()
		}
	}
	if d.in(2) {
		a.PodAntiAffinity = &corev1.PodAntiAffinity{}
		if d.in(2) {
			a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution = d.terms()
		}
		if d.in(2) {
			a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution = d.weighted()
		}
	}
	return a
}

func (d dice) nodeAffinity() *corev1.NodeAffinity {
	out := &corev1.NodeAffinity{}
	if d.in(2) {
		s := &corev1.NodeSelector{}
		for range 1 + d.IntN(2) {
			s.NodeSelectorTerms = append(s.NodeSelectorTerms, d.nodeTerm())
		}
		out.RequiredDuringSchedulingIgnoredDuringExecution = s
	}
	for range d.IntN(3) {
		out.PreferredDuringSchedulingIgnoredDuringExecution = append(out.PreferredDuringSchedulingIgnoredDuringExecution,
			corev1.PreferredSchedulingTerm{Weight: int32(1 + d.IntN(100)), Preference: d.nodeTerm()})
	}
	return out
}

func (d dice) nodeTerm() corev1.NodeSelectorTerm {
	if d.in(6) {
		return corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{d.one("n0", "n1", "n2")}}}}
	}
	r := corev1.NodeSelectorRequirement{Key: d.one("disk", corev1.LabelTopologyZone), Operator: corev1.NodeSelectorOperator(d.one("In", "NotIn", "Exists", "DoesNotExist", "Gt"))}
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		r.Values = []string{d.one("ssd", "z1"), d.one("hdd", "z2")}
	case corev1.NodeSelectorOpGt:
		r.Values = []string{"2"}
	}
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{r}}
}

func (d dice) selector() *metav1.LabelSelector {
	if d.in(6) {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpExists}}}
	}
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": d.one("a", "b", "c")}}
}

func (d dice) term() corev1.PodAffinityTerm {
	t := corev1.PodAffinityTerm{LabelSelector: d.selector(), TopologyKey: d.one(corev1.LabelHostname, corev1.LabelTopologyZone, corev1.LabelTopologyZone, "disk")}
	switch d.IntN(5) {
	case 0:
		t.Namespaces = []string{"x", "y"}
	case 1:
		t.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": d.one("x", "y")}}
	case 2:
		t.NamespaceSelector = &metav1.LabelSelector{}
	}
	return t
}

func (d dice) terms() (out []corev1.PodAffinityTerm) {
	for range 1 + d.IntN(2) {
		out = append(out, d.term())
	}
	return out
}

func (d dice) weighted() (out []corev1.WeightedPodAffinityTerm) {
	for range 1 + d.IntN(2) {
		out = append(out, corev1.WeightedPodAffinityTerm{Weight: int32(1 + d.IntN(100)), PodAffinityTerm: d.term()})
	}
	return out
}

func (d dice) constraint() corev1.TopologySpreadConstraint {
	c := corev1.TopologySpreadConstraint{MaxSkew: int32(1 + d.IntN(3)), TopologyKey: d.one(corev1.LabelHostname, corev1.LabelTopologyZone, "disk"),
		WhenUnsatisfiable: corev1.UnsatisfiableConstraintAction(d.one("DoNotSchedule", "ScheduleAnyway")), LabelSelector: d.selector()}
	if d.in(4) && c.WhenUnsatisfiable == corev1.DoNotSchedule {
		c.MinDomains = new(int32(1 + d.IntN(4)))
	}
	if d.in(3) {
		c.NodeAffinityPolicy = new(corev1.NodeInclusionPolicy(d.one("Honor", "Ignore")))
	}
	if d.in(3) {
		c.NodeTaintsPolicy = new(corev1.NodeInclusionPolicy(d.one("Honor", "Ignore")))
	}
	if d.in(5) {
		c.MatchLabelKeys = []string{"app"}
	}
	return c
}
