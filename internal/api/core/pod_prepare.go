package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
)

func podSpecChanged(p, old *corev1.Pod) bool {
	return !apiequality.Semantic.DeepEqual(p.Spec, old.Spec)
}

func preparePodCreate(p *corev1.Pod) {
	p.Generation = 1
	p.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: p.Status.QOSClass}
	if p.Status.QOSClass == "" { // upstream lets who makes the pod choose
		p.Status.QOSClass = QOSClass(&p.Spec)
	}
	if len(p.Spec.SchedulingGates) > 0 {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulingGated,
			Message: "Scheduling is blocked due to non-empty scheduling gates",
		})
	}
	dropPodFields(&p.Spec, nil)
	mergeLabelKeys(p)
}

// stampPod brings a new pod's old annotations into fields.
func stampPod(p, old *corev1.Pod, s api.Stamp) {
	if old == nil {
		appArmorFields(p, s.Warn)
	}
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
	dropPodStatusFields(&p.Status, &old.Status)
	// A type may stand there several times: each takes the next one's.
	observed := make(map[corev1.PodConditionType][]int64, len(old.Status.Conditions))
	for _, c := range old.Status.Conditions {
		observed[c.Type] = append(observed[c.Type], c.ObservedGeneration)
	}
	for i := range p.Status.Conditions {
		c := &p.Status.Conditions[i]
		if was := observed[c.Type]; len(was) > 0 {
			orSet(&c.ObservedGeneration, was[0])
			observed[c.Type] = was[1:]
		}
	}
}

// dropPodStatusFields removes what features tell that are off by default.
func dropPodStatusFields(s, old *corev1.PodStatus) {
	if len(old.NodeAllocatableResourceClaimStatuses) == 0 {
		s.NodeAllocatableResourceClaimStatuses = nil
	}
	of := func(s *corev1.PodStatus) (mounts []*corev1.VolumeMountStatus) {
		for _, l := range statusLists(s) {
			for i := range l.list {
				for j := range l.list[i].VolumeMounts {
					mounts = append(mounts, &l.list[i].VolumeMounts[j])
				}
			}
		}
		return mounts
	}
	if slices.ContainsFunc(of(old), func(m *corev1.VolumeMountStatus) bool { return m.VolumeStatus != nil }) {
		return
	}
	for _, m := range of(s) {
		m.VolumeStatus = nil
	}
}

// dropPodFields removes fields whose feature is off by default in 1.36,
// unless the old pod has them.
func dropPodFields(s, old *corev1.PodSpec) {
	if !hadStopSignal(old) {
		dropStopSignals(s)
	}
	if old == nil || old.SchedulingGroup == nil {
		s.SchedulingGroup = nil
	}
	bundles, certificates := projects(old, isBundle), projects(old, isCertificate)
	for _, v := range s.Volumes {
		if v.Projected == nil {
			continue
		}
		for i := range v.Projected.Sources {
			if !bundles {
				v.Projected.Sources[i].ClusterTrustBundle = nil
			}
			if !certificates {
				v.Projected.Sources[i].PodCertificate = nil
			}
		}
	}
}

func isBundle(s corev1.VolumeProjection) bool      { return s.ClusterTrustBundle != nil }
func isCertificate(s corev1.VolumeProjection) bool { return s.PodCertificate != nil }

func projects(s *corev1.PodSpec, what func(corev1.VolumeProjection) bool) bool {
	return s != nil && slices.ContainsFunc(s.Volumes, func(v corev1.Volume) bool {
		return v.Projected != nil && slices.ContainsFunc(v.Projected.Sources, what)
	})
}

// DropTemplateFields removes fields of a template whose feature is off by
// default, unless the template had them before; old is nil for a new one.
func DropTemplateFields(t, old *corev1.PodTemplateSpec) {
	if old == nil {
		dropPodFields(&t.Spec, nil)
		return
	}
	dropPodFields(&t.Spec, &old.Spec)
}

// dropStopSignals removes stop signals, and with them a lifecycle that says
// nothing else.
func dropStopSignals(s *corev1.PodSpec) {
	drop := func(l **corev1.Lifecycle) {
		if *l == nil || (*l).StopSignal == nil {
			return
		}
		(*l).StopSignal = nil
		if **l == (corev1.Lifecycle{}) {
			*l = nil
		}
	}
	for _, list := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range list {
			drop(&list[i].Lifecycle)
		}
	}
	for i := range s.EphemeralContainers {
		drop(&s.EphemeralContainers[i].Lifecycle)
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
	if s.Resources != nil {
		addCompute(requests, s.Resources.Requests)
		if len(s.Resources.Limits) > 0 {
			guaranteed = addCompute(limits, s.Resources.Limits) == 2
		}
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
