package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func validatePodStatus(p, old *corev1.Pod) field.ErrorList {
	path := field.NewPath("status")
	var errs field.ErrorList
	if p.Spec.NodeName != old.Spec.NodeName {
		errs = append(errs, field.Forbidden(path.Child("nodeName"), "may not be changed directly"))
	}
	if n := p.Status.NominatedNodeName; n != "" {
		errs = append(errs, validate.Name(validate.Subdomain, n, path.Child("nominatedNodeName"))...)
	}
	if p.Status.ObservedGeneration < 0 {
		errs = append(errs, field.Invalid(path.Child("observedGeneration"), p.Status.ObservedGeneration, "must be greater than or equal to 0"))
	}
	for i, c := range p.Status.Conditions {
		if c.Type == "" {
			errs = append(errs, field.Required(path.Child("conditions").Index(i).Child("type"), ""))
		}
	}
	return append(errs, containerTransitions(p, old, path)...)
}

// containerTransitions refuses what cannot happen: a container that ended for
// good and runs again.
func containerTransitions(p, old *corev1.Pod, path *field.Path) field.ErrorList {
	if p.Spec.RestartPolicy == corev1.RestartPolicyAlways {
		return nil
	}
	restarting := map[string]bool{}
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			restarting[list[i].Name] = list[i].RestartPolicy != nil
		}
	}
	errs := ended(p.Status.ContainerStatuses, old.Status.ContainerStatuses, p.Spec.RestartPolicy, restarting, path.Child("containerStatuses"))
	return append(errs, ended(p.Status.InitContainerStatuses, old.Status.InitContainerStatuses,
		p.Spec.RestartPolicy, restarting, path.Child("initContainerStatuses"))...)
}

func ended(
	now, before []corev1.ContainerStatus, policy corev1.RestartPolicy, restarting map[string]bool, path *field.Path,
) field.ErrorList {
	var errs field.ErrorList
	again := sets.New[string]()
	for _, is := range now {
		if is.State.Terminated == nil {
			again.Insert(is.Name)
		}
	}
	for i, was := range before {
		t := was.State.Terminated
		if t == nil || restarting[was.Name] || (t.ExitCode != 0 && policy == corev1.RestartPolicyOnFailure) {
			continue
		}
		if again.Has(was.Name) {
			errs = append(errs, field.Forbidden(path.Index(i).Child("state"), "may not be transitioned to non-terminated state"))
		}
	}
	return errs
}
