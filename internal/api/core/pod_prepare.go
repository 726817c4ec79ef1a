package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func podSpecChanged(p, old *corev1.Pod) bool {
	return !apiequality.Semantic.DeepEqual(p.Spec, old.Spec)
}

func preparePodCreate(p *corev1.Pod) {
	p.Generation = 1
	p.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: QOSClass(&p.Spec)}
	if len(p.Spec.SchedulingGates) > 0 {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulingGated,
			Message: "Scheduling is blocked due to non-empty scheduling gates",
		})
	}
	mergeLabelKeys(p)
	dropPodFields(&p.Spec, nil)
}

func preparePodUpdate(p, old *corev1.Pod) {
	p.Generation = old.Generation
	p.Status = old.Status
	dropPodFields(&p.Spec, &old.Spec)
}

// preparePodStatus lets through the status only.
func preparePodStatus(p, old *corev1.Pod) {
	p.Spec = old.Spec
	p.DeletionTimestamp = nil
	p.OwnerReferences = old.OwnerReferences
	orSet(&p.Status.QOSClass, old.Status.QOSClass)
	orSet(&p.Status.ObservedGeneration, old.Status.ObservedGeneration)
	observed := make(map[corev1.PodConditionType]int64, len(old.Status.Conditions))
	for _, c := range old.Status.Conditions {
		observed[c.Type] = c.ObservedGeneration
	}
	for i := range p.Status.Conditions {
		c := &p.Status.Conditions[i]
		orSet(&c.ObservedGeneration, observed[c.Type])
	}
}

// dropPodFields removes fields whose feature is off by default in 1.36,
// unless the old pod has them.
func dropPodFields(s, old *corev1.PodSpec) {
	if old == nil || old.SchedulingGroup == nil {
		s.SchedulingGroup = nil
	}
	for _, list := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range list {
			if l := list[i].Lifecycle; l != nil && !hadStopSignal(old) {
				l.StopSignal = nil
			}
		}
	}
	for i := range s.EphemeralContainers {
		if l := s.EphemeralContainers[i].Lifecycle; l != nil && !hadStopSignal(old) {
			l.StopSignal = nil
		}
	}
}

func hadStopSignal(s *corev1.PodSpec) bool {
	if s == nil {
		return false
	}
	had := func(c corev1.Container) bool { return c.Lifecycle != nil && c.Lifecycle.StopSignal != nil }
	return slices.ContainsFunc(s.Containers, had) || slices.ContainsFunc(s.InitContainers, had)
}

// mergeLabelKeys turns matchLabelKeys of affinity terms and spread
// constraints into requirements of their selectors, with the values of the
// pod's own labels (KEP-3633, KEP-3243).
func mergeLabelKeys(p *corev1.Pod) {
	if a := p.Spec.Affinity; a != nil {
		if a.PodAffinity != nil {
			mergeTerms(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, p.Labels)
			mergeWeighted(a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution, p.Labels)
		}
		if a.PodAntiAffinity != nil {
			mergeTerms(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, p.Labels)
			mergeWeighted(a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution, p.Labels)
		}
	}
	for i := range p.Spec.TopologySpreadConstraints {
		c := &p.Spec.TopologySpreadConstraints[i]
		addRequirements(c.LabelSelector, c.MatchLabelKeys, p.Labels, metav1.LabelSelectorOpIn)
	}
}

func mergeTerms(terms []corev1.PodAffinityTerm, labels map[string]string) {
	for i := range terms {
		t := &terms[i]
		addRequirements(t.LabelSelector, t.MatchLabelKeys, labels, metav1.LabelSelectorOpIn)
		addRequirements(t.LabelSelector, t.MismatchLabelKeys, labels, metav1.LabelSelectorOpNotIn)
	}
}

func mergeWeighted(terms []corev1.WeightedPodAffinityTerm, labels map[string]string) {
	for i := range terms {
		t := &terms[i].PodAffinityTerm
		addRequirements(t.LabelSelector, t.MatchLabelKeys, labels, metav1.LabelSelectorOpIn)
		addRequirements(t.LabelSelector, t.MismatchLabelKeys, labels, metav1.LabelSelectorOpNotIn)
	}
}

func addRequirements(s *metav1.LabelSelector, keys []string, labels map[string]string, op metav1.LabelSelectorOperator) {
	if s == nil {
		return
	}
	for _, key := range keys {
		if value, ok := labels[key]; ok {
			s.MatchExpressions = append(s.MatchExpressions,
				metav1.LabelSelectorRequirement{Key: key, Operator: op, Values: []string{value}})
		}
	}
}

// QOSClass is the class that a pod's requests and limits put it in.
func QOSClass(s *corev1.PodSpec) corev1.PodQOSClass {
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	guaranteed := true
	if s.Resources != nil && (len(s.Resources.Requests) > 0 || len(s.Resources.Limits) > 0) {
		addCompute(requests, s.Resources.Requests)
		guaranteed = addCompute(limits, s.Resources.Limits) == 2
	} else {
		for _, list := range [][]corev1.Container{s.Containers, s.InitContainers} {
			for _, c := range list {
				addCompute(requests, c.Resources.Requests)
				guaranteed = addCompute(limits, c.Resources.Limits) == 2 && guaranteed
			}
		}
	}
	if len(requests) == 0 && len(limits) == 0 {
		return corev1.PodQOSBestEffort
	}
	for name, q := range requests {
		if limit, ok := limits[name]; !ok || limit.Cmp(q) != 0 {
			guaranteed = false
		}
	}
	if guaranteed && len(requests) == len(limits) {
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

// addCompute adds the amounts of CPU and memory and says how many of the two
// there were.
func addCompute(sum, list corev1.ResourceList) int {
	count := 0
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		q, ok := list[name]
		if !ok || q.Sign() <= 0 {
			continue
		}
		count++
		total := sum[name]
		total.Add(q)
		sum[name] = total
	}
	return count
}
