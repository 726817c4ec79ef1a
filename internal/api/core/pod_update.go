package core

import (
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

const mutablePodFields = "pod updates may not change fields other than `spec.containers[*].image`," +
	"`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`," +
	"`spec.tolerations` (only additions to existing tolerations)," +
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

func validatePodUpdate(p, old *corev1.Pod) field.ErrorList {
	spec := field.NewPath("spec")
	errs := append(validate.StrictMeta(p, true, nil), checkPod(p, old)...)
	stop, more := containersKept(p, old, spec)
	errs = append(errs, more...)
	if stop {
		return errs
	}
	errs = append(errs, imagesRequired(p.Spec.Containers, spec.Child("containers"))...)
	errs = append(errs, imagesRequired(p.Spec.InitContainers, spec.Child("initContainers"))...)
	errs = append(errs, deadlineUpdate(p, old, spec)...)
	errs = append(errs, gatesUpdate(p, old, spec.Child("schedulingGates"))...)
	errs = append(errs, tolerationsUpdate(p.Spec.Tolerations, old.Spec.Tolerations, spec.Child("tolerations"))...)
	return append(errs, restUnchanged(p, old, spec)...)
}

// imagesRequired stands beside the same check of every pod.
func imagesRequired(list []corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, c := range list {
		errs = append(errs, requiredIf(c.Image == "", path.Index(i).Child("image"))...)
	}
	return errs
}

// containersKept wants the same number of containers, and images in all of
// them; where it does not hold there is nothing more to compare.
func containersKept(p, old *corev1.Pod, spec *field.Path) (stop bool, errs field.ErrorList) {
	if len(p.Spec.Containers) != len(old.Spec.Containers) {
		return true, field.ErrorList{field.Forbidden(spec.Child("containers"), "pod updates may not add or remove containers")}
	}
	if len(p.Spec.InitContainers) != len(old.Spec.InitContainers) {
		return true, field.ErrorList{field.Forbidden(spec.Child("initContainers"), "pod updates may not add or remove containers")}
	}
	return false, nil
}

func deadlineUpdate(p, old *corev1.Pod, spec *field.Path) field.ErrorList {
	at := spec.Child("activeDeadlineSeconds")
	was, is := old.Spec.ActiveDeadlineSeconds, p.Spec.ActiveDeadlineSeconds
	switch {
	case is != nil && (*is < 0 || *is > 1<<31-1):
		return validate.InRange(*is, 0, 1<<31-1, at)
	case is != nil && was != nil && *was < *is:
		return field.ErrorList{field.Invalid(at, *is, "must be less than or equal to previous value")}
	case is == nil && was != nil:
		return field.ErrorList{field.Invalid(at, is, "must not update from a positive integer to nil value")}
	}
	return nil
}

func gatesUpdate(p, old *corev1.Pod, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	before := sets.New(old.Spec.SchedulingGates...)
	for i, g := range p.Spec.SchedulingGates {
		if !before.Has(g) {
			errs = append(errs, field.Forbidden(path.Index(i).Child("name"),
				"only deletion is allowed, but found new scheduling gate '"+g.Name+"'"))
		}
	}
	return errs
}

func tolerationsUpdate(list, old []corev1.Toleration, path *field.Path) field.ErrorList {
	now := sets.New[corev1.Toleration]()
	for _, t := range list {
		t.TolerationSeconds = nil
		now.Insert(t)
	}
	for _, was := range old {
		was.TolerationSeconds = nil
		if !now.Has(was) {
			return field.ErrorList{field.Forbidden(path, "existing toleration can not be modified except its tolerationSeconds")}
		}
	}
	return nil
}

// restUnchanged puts back what may change and wants the rest to be the same.
func restUnchanged(p, old *corev1.Pod, path *field.Path) field.ErrorList {
	was, is := &old.Spec, p.Spec.DeepCopy()
	for i := range is.Containers {
		is.Containers[i].Image = was.Containers[i].Image
	}
	for i := range is.InitContainers {
		is.InitContainers[i].Image = was.InitContainers[i].Image
	}
	is.ActiveDeadlineSeconds = was.ActiveDeadlineSeconds
	is.Tolerations = was.Tolerations
	is.SchedulingGates = was.SchedulingGates
	if g := was.TerminationGracePeriodSeconds; g != nil && *g < 0 && is.TerminationGracePeriodSeconds != nil && *is.TerminationGracePeriodSeconds == 1 {
		is.TerminationGracePeriodSeconds = g
	}
	if len(old.Spec.SchedulingGates) > 0 {
		allowGated(is, was)
	}
	if apiequality.Semantic.DeepEqual(*is, *was) {
		return nil
	}
	changed := diff.Diff(validate.Shown(was), validate.Shown(is))
	return field.ErrorList{field.Forbidden(path, mutablePodFields+"\n"+changed)}
}

// allowGated lets a pod that still waits at scheduling gates narrow down its
// node selector and affinity (KEP-3838).
func allowGated(is, was *corev1.PodSpec) {
	narrowed := true
	for key, value := range was.NodeSelector {
		if is.NodeSelector[key] != value {
			narrowed = false
		}
	}
	if narrowed {
		is.NodeSelector = was.NodeSelector
	}
	if narrowedAffinity(is.Affinity, was.Affinity) {
		is.Affinity = was.Affinity
	}
}

// narrowedAffinity tells whether only node affinity changed, and required
// terms only gained requirements.
func narrowedAffinity(is, was *corev1.Affinity) bool {
	var before, after corev1.Affinity
	if was != nil {
		before = *was
	}
	if is != nil {
		after = *is
	}
	if !apiequality.Semantic.DeepEqual(before.PodAffinity, after.PodAffinity) ||
		!apiequality.Semantic.DeepEqual(before.PodAntiAffinity, after.PodAntiAffinity) {
		return false
	}
	old := requiredTerms(before.NodeAffinity)
	if old == nil {
		return true
	}
	terms := requiredTerms(after.NodeAffinity)
	if len(terms) != len(old) {
		return false
	}
	for i := range old {
		if !prefixOf(old[i].MatchExpressions, terms[i].MatchExpressions) || !prefixOf(old[i].MatchFields, terms[i].MatchFields) {
			return false
		}
	}
	return true
}

func requiredTerms(n *corev1.NodeAffinity) []corev1.NodeSelectorTerm {
	if n == nil || n.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	return n.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
}

func prefixOf(old, list []corev1.NodeSelectorRequirement) bool {
	return len(list) >= len(old) && apiequality.Semantic.DeepEqual(list[:len(old)], old)
}
