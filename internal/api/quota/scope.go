package quota

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/core"
)

// InScope tells whether an object is in every scope that a quota names. A
// quota with scopes is about pods and claims alone.
func InScope(q *corev1.ResourceQuotaSpec, obj api.Object) bool {
	for _, scope := range q.Scopes {
		if !inScope(corev1.ScopedResourceSelectorRequirement{ScopeName: scope, Operator: corev1.ScopeSelectorOpExists}, obj) {
			return false
		}
	}
	if q.ScopeSelector == nil {
		return true
	}
	for _, r := range q.ScopeSelector.MatchExpressions {
		if !inScope(r, obj) {
			return false
		}
	}
	return true
}

func inScope(r corev1.ScopedResourceSelectorRequirement, obj api.Object) bool {
	switch obj := obj.(type) {
	case *corev1.Pod:
		return podInScope(r, obj)
	case *corev1.PersistentVolumeClaim:
		return r.ScopeName == corev1.ResourceQuotaScopeVolumeAttributesClass && anySelected(r, attributesClasses(obj))
	}
	return false
}

func podInScope(r corev1.ScopedResourceSelectorRequirement, pod *corev1.Pod) bool {
	bounded := pod.Spec.ActiveDeadlineSeconds != nil && *pod.Spec.ActiveDeadlineSeconds >= 0
	switch r.ScopeName {
	case corev1.ResourceQuotaScopeTerminating:
		return bounded
	case corev1.ResourceQuotaScopeNotTerminating:
		return !bounded
	case corev1.ResourceQuotaScopeBestEffort:
		return core.QOSClass(&pod.Spec) == corev1.PodQOSBestEffort
	case corev1.ResourceQuotaScopeNotBestEffort:
		return core.QOSClass(&pod.Spec) != corev1.PodQOSBestEffort
	case corev1.ResourceQuotaScopePriorityClass:
		return selected(r, pod.Spec.PriorityClassName)
	case corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		return crossesNamespaces(pod.Spec.Affinity)
	}
	return false
}

// selected tells whether a requirement takes a class; empty is none.
func selected(r corev1.ScopedResourceSelectorRequirement, class string) bool {
	switch r.Operator {
	case corev1.ScopeSelectorOpExists:
		return class != ""
	case corev1.ScopeSelectorOpDoesNotExist:
		return class == ""
	case corev1.ScopeSelectorOpIn:
		return class != "" && slices.Contains(r.Values, class)
	case corev1.ScopeSelectorOpNotIn:
		return class == "" || !slices.Contains(r.Values, class)
	}
	return false
}

func anySelected(r corev1.ScopedResourceSelectorRequirement, classes []string) bool {
	if len(classes) == 0 {
		return selected(r, "")
	}
	return slices.ContainsFunc(classes, func(class string) bool { return selected(r, class) })
}

// attributesClasses are the classes that a claim has, had and moves to.
func attributesClasses(claim *corev1.PersistentVolumeClaim) []string {
	var out []string
	add := func(name *string) {
		if name != nil && *name != "" {
			out = append(out, *name)
		}
	}
	add(claim.Spec.VolumeAttributesClassName)
	add(claim.Status.CurrentVolumeAttributesClassName)
	if m := claim.Status.ModifyVolumeStatus; m != nil {
		add(&m.TargetVolumeAttributesClassName)
	}
	return out
}

// crossesNamespaces tells whether a pod's affinity looks at pods of other
// namespaces.
func crossesNamespaces(a *corev1.Affinity) bool {
	if a == nil {
		return false
	}
	var terms []corev1.PodAffinityTerm
	var weighted []corev1.WeightedPodAffinityTerm
	if p := a.PodAffinity; p != nil {
		terms = append(terms, p.RequiredDuringSchedulingIgnoredDuringExecution...)
		weighted = append(weighted, p.PreferredDuringSchedulingIgnoredDuringExecution...)
	}
	if p := a.PodAntiAffinity; p != nil {
		terms = append(terms, p.RequiredDuringSchedulingIgnoredDuringExecution...)
		weighted = append(weighted, p.PreferredDuringSchedulingIgnoredDuringExecution...)
	}
	crosses := func(t *corev1.PodAffinityTerm) bool { return len(t.Namespaces) > 0 || t.NamespaceSelector != nil }
	return slices.ContainsFunc(terms, func(t corev1.PodAffinityTerm) bool { return crosses(&t) }) ||
		slices.ContainsFunc(weighted, func(t corev1.WeightedPodAffinityTerm) bool { return crosses(&t.PodAffinityTerm) })
}
