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
	errs = append(errs, podAnnotationsUpdate(p, old)...)
	for _, l := range []struct {
		name    string
		is, was []corev1.Container
	}{{"containers", p.Spec.Containers, old.Spec.Containers}, {"initContainers", p.Spec.InitContainers, old.Spec.InitContainers}} {
		at := spec.Child(l.name)
		if len(l.is) != len(l.was) {
			return append(errs, field.Forbidden(at, "pod updates may not add or remove containers"))
		}
		errs = append(errs, imagesRequired(l.is, at)...)
		errs = append(errs, imagesWithoutSpace(l.is, at)...)
	}
	stop, more := deadlineUpdate(p, old, spec)
	errs = append(errs, more...)
	if stop {
		return errs
	}
	errs = append(errs, tolerationsUpdate(p.Spec.Tolerations, old.Spec.Tolerations, spec.Child("tolerations"))...)
	errs = append(errs, gatesUpdate(p, old, spec.Child("schedulingGates"))...)
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

// deadlineUpdate lets a deadline come nearer; after a wrong one there is
// nothing more to compare.
func deadlineUpdate(p, old *corev1.Pod, spec *field.Path) (stop bool, errs field.ErrorList) {
	at := spec.Child("activeDeadlineSeconds")
	was, is := old.Spec.ActiveDeadlineSeconds, p.Spec.ActiveDeadlineSeconds
	switch {
	case is != nil && (*is < 0 || *is > 1<<31-1):
		return true, validate.InRange(*is, 0, 1<<31-1, at)
	case is != nil && was != nil && *was < *is:
		return true, field.ErrorList{field.Invalid(at, *is, "must be less than or equal to previous value")}
	case is == nil && was != nil:
		return false, field.ErrorList{field.Invalid(at, is, "must not update from a positive integer to nil value")}
	}
	return false, nil
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
	return tolerations(list, path) // once more, as upstream does
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
	var errs field.ErrorList
	if len(old.Spec.SchedulingGates) > 0 {
		errs = narrowGated(is, was, path)
	}
	if apiequality.Semantic.DeepEqual(*is, *was) {
		return errs
	}
	changed := diff.Diff(validate.Shown(was), validate.Shown(is))
	return append(errs, field.Forbidden(path, mutablePodFields+"\n"+changed))
}

// narrowGated lets a pod that still waits at scheduling gates narrow down its
// node selector and node affinity (KEP-3838), and puts both back in is.
func narrowGated(is, was *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, key := range sortedKeys(was.NodeSelector) {
		if value, kept := is.NodeSelector[key]; !kept || value != was.NodeSelector[key] {
			errs = append(errs, field.Invalid(path.Child("nodeSelector"), is.NodeSelector,
				"only additions to spec.nodeSelector are allowed (no mutations or deletions)"))
			break
		}
	}
	is.NodeSelector = was.NodeSelector
	var before, after *corev1.NodeAffinity
	if was.Affinity != nil {
		before = was.Affinity.NodeAffinity
	}
	if is.Affinity != nil {
		after = is.Affinity.NodeAffinity
	}
	if apiequality.Semantic.DeepEqual(before, after) {
		return errs
	}
	errs = append(errs, narrowTerms(after, before, path.Child("affinity", "nodeAffinity", required, "nodeSelectorTerms"))...)
	switch {
	case is.Affinity == nil && before != nil:
		is.Affinity = &corev1.Affinity{NodeAffinity: before}
	case is.Affinity != nil && was.Affinity == nil && is.Affinity.PodAffinity == nil && is.Affinity.PodAntiAffinity == nil:
		is.Affinity = nil
	case is.Affinity != nil:
		is.Affinity.NodeAffinity = before
	}
	return errs
}

// narrowTerms wants required terms to gain requirements only.
func narrowTerms(is, was *corev1.NodeAffinity, path *field.Path) field.ErrorList {
	old, terms := requiredTerms(was), requiredTerms(is)
	if len(old) > 0 && len(old) != len(terms) {
		return field.ErrorList{field.Invalid(path, validate.Shown(terms), "no additions/deletions to non-empty NodeSelectorTerms list are allowed")}
	}
	var errs field.ErrorList
	for i := range old {
		empty := len(old[i].MatchExpressions)+len(old[i].MatchFields) == 0
		filled := len(terms[i].MatchExpressions)+len(terms[i].MatchFields) > 0
		if empty && filled || !prefixOf(old[i].MatchExpressions, terms[i].MatchExpressions) || !prefixOf(old[i].MatchFields, terms[i].MatchFields) {
			errs = append(errs, field.Invalid(path.Index(i), validate.Shown(terms[i]), "only additions are allowed (no mutations or deletions)"))
		}
	}
	return errs
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
