package core

import (
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// preparePodResize lets through resources and their policies only. Where
// containers came, went or changed places, all is left for validation to
// refuse.
func preparePodResize(p, old *corev1.Pod) {
	if len(p.Spec.Containers) != len(old.Spec.Containers) || len(p.Spec.InitContainers) != len(old.Spec.InitContainers) {
		dropPodFields(&p.Spec, &old.Spec)
		return
	}
	containers, inits := resized(p.Spec.Containers, old.Spec.Containers), resized(p.Spec.InitContainers, old.Spec.InitContainers)
	whole := p.Spec.Resources
	keepForSubresource(p, old)
	old.Spec.DeepCopyInto(&p.Spec)
	p.Spec.Containers, p.Spec.InitContainers, p.Spec.Resources = containers, inits, whole
}

// resized are the old containers with the resources that are asked for.
func resized(asked, old []corev1.Container) []corev1.Container {
	if len(asked) == 0 {
		return asked
	}
	out := make([]corev1.Container, len(old))
	for i := range old {
		if asked[i].Name != old[i].Name {
			return asked
		}
		old[i].DeepCopyInto(&out[i])
		out[i].Resources, out[i].ResizePolicy = asked[i].Resources, asked[i].ResizePolicy
	}
	return out
}

// validatePodResize checks a change of CPU and memory in place (KEP-1287,
// KEP-5419).
func validatePodResize(p, old *corev1.Pod) field.ErrorList {
	spec := field.NewPath("spec")
	if _, mirror := old.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "static pods cannot be resized")}
	}
	if old.Spec.OS != nil && old.Spec.OS.Name == corev1.Windows {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "windows pods cannot be resized")}
	}
	errs := append(validate.StrictMeta(p, true, nil), checkPod(p, old)...)
	class := old.Status.QOSClass
	if class == "" {
		class = QOSClass(&old.Spec)
	}
	if QOSClass(&p.Spec) != class {
		errs = append(errs, field.Invalid(spec, p.Status.QOSClass, "Pod QOS Class may not change as a result of resizing"))
	}
	errs = append(errs, forbidden(!nodeResizes(old), spec, "Pod running on node without support for resize")...)
	rest := p.Spec.DeepCopy()
	errs = append(errs, resizeWhole(p, old, rest, spec)...)
	errs = append(errs, forbidden(len(old.Status.NodeAllocatableResourceClaimStatuses) > 0, spec,
		"pods with node allocatable resource claims cannot be resized")...)
	if order := sameContainers(p, old, spec); len(order) > 0 {
		return append(errs, order...)
	}
	errs = append(errs, resizeContainers(rest, old, spec)...)
	if len(errs) == 0 && !apiequality.Semantic.DeepEqual(rest, &old.Spec) {
		errs = append(errs, field.Forbidden(spec, "only cpu and memory resources are mutable"))
	}
	return errs
}

// nodeResizes tells whether the node reports the resources that running
// containers have, so that it can change them.
func nodeResizes(p *corev1.Pod) bool {
	for _, s := range p.Status.ContainerStatuses {
		if s.State.Running != nil {
			return s.Resources != nil
		}
	}
	return true
}

// resizeWhole checks resources of the pod as a whole, and puts those that may
// change back in rest.
func resizeWhole(p, old *corev1.Pod, rest *corev1.PodSpec, spec *field.Path) field.ErrorList {
	has := func(r *corev1.ResourceRequirements) bool { return r != nil && len(r.Requests)+len(r.Limits) > 0 }
	was, is, at := old.Spec.Resources, p.Spec.Resources, spec.Child("resources")
	if !has(was) && !has(is) {
		return nil
	}
	if was != nil && is == nil {
		return field.ErrorList{field.Forbidden(at, "pod-level resources cannot be removed")}
	}
	var errs field.ErrorList
	if was == nil {
		was = &corev1.ResourceRequirements{}
	} else {
		errs = forbidden(removed(is.Requests, was.Requests), at.Child("requests"), "pod-level resource requests cannot be removed")
		errs = append(errs, forbidden(removed(is.Limits, was.Limits), at.Child("limits"), "pod-level resource limits cannot be removed")...)
	}
	rest.Resources.Requests = computeOf(rest.Resources.Requests, was.Requests)
	rest.Resources.Limits = computeOf(rest.Resources.Limits, was.Limits)
	if old.Spec.Resources == nil && len(rest.Resources.Requests)+len(rest.Resources.Limits)+len(rest.Resources.Claims) == 0 {
		rest.Resources = nil
	}
	return append(errs, forbidden(!apiequality.Semantic.DeepEqual(rest.Resources, old.Spec.Resources), spec,
		"only cpu and memory resources are mutable at pod-level")...)
}

func sameContainers(p, old *corev1.Pod, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, l := range []struct {
		name    string
		is, was []corev1.Container
	}{{"containers", p.Spec.Containers, old.Spec.Containers}, {"initContainers", p.Spec.InitContainers, old.Spec.InitContainers}} {
		at := spec.Child(l.name)
		if len(l.is) != len(l.was) {
			errs = append(errs, field.Forbidden(at, l.name+" may not be added or removed on resize"))
			continue
		}
		for i := range l.was {
			errs = append(errs, forbidden(l.is[i].Name != l.was[i].Name, at.Index(i).Child("name"), l.name+" may not be renamed or reordered on resize")...)
		}
	}
	return errs
}

// resizeContainers checks the containers of rest and puts back what of them
// may change. Only sidecars among the init containers may.
func resizeContainers(rest *corev1.PodSpec, old *corev1.Pod, spec *field.Path) field.ErrorList {
	const cannot = "only cpu and memory resources are mutable"
	var errs field.ErrorList
	for i := range rest.InitContainers {
		if sidecar(&old.Spec.InitContainers[i]) {
			errs = append(errs, nothingRemoved(&rest.InitContainers[i], &old.Spec.InitContainers[i], spec.Child("initContainers").Index(i))...)
		}
	}
	for i := range rest.Containers {
		errs = append(errs, nothingRemoved(&rest.Containers[i], &old.Spec.Containers[i], spec.Child("containers").Index(i))...)
	}
	for i := range rest.Containers {
		is, was := &rest.Containers[i], &old.Spec.Containers[i]
		putBack(is, was)
		errs = append(errs, forbidden(!apiequality.Semantic.DeepEqual(is, was), spec, cannot)...)
	}
	for i := range rest.InitContainers {
		is, was := &rest.InitContainers[i], &old.Spec.InitContainers[i]
		if !sidecar(is) {
			errs = append(errs, forbidden(!apiequality.Semantic.DeepEqual(is, was), spec, "resources for non-sidecar init containers are immutable")...)
			continue
		}
		putBack(is, was)
		errs = append(errs, forbidden(!apiequality.Semantic.DeepEqual(is, was), spec.Child("initContainers").Index(i),
			"only cpu and memory resources for init or sidecar containers are mutable")...)
	}
	return errs
}

func nothingRemoved(is, was *corev1.Container, at *field.Path) field.ErrorList {
	at = at.Child("resources")
	errs := forbidden(removed(is.Resources.Requests, was.Resources.Requests), at.Child("requests"), "resource requests cannot be removed")
	return append(errs, forbidden(removed(is.Resources.Limits, was.Resources.Limits), at.Child("limits"), "resource limits cannot be removed")...)
}

func removed(is, was corev1.ResourceList) bool {
	for name := range was {
		if _, kept := is[name]; !kept {
			return true
		}
	}
	return false
}

func putBack(is, was *corev1.Container) {
	is.Resources = corev1.ResourceRequirements{
		Limits: computeOf(is.Resources.Limits, was.Resources.Limits), Requests: computeOf(is.Resources.Requests, was.Resources.Requests),
	}
}

// computeOf is the list with the old amounts of CPU and memory.
func computeOf(list, old corev1.ResourceList) corev1.ResourceList {
	if list == nil && old == nil {
		return nil
	}
	out := corev1.ResourceList{}
	for name, q := range list {
		if name != corev1.ResourceCPU && name != corev1.ResourceMemory {
			out[name] = q
		}
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if q, had := old[name]; had {
			out[name] = q
		}
	}
	return out
}
