package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// prepareEphemeralContainers lets through the ephemeral containers only.
func prepareEphemeralContainers(p, old *corev1.Pod) {
	added := p.Spec.EphemeralContainers
	old.DeepCopy().DeepCopyInto(p)
	p.Spec.EphemeralContainers = added
}

// validateEphemeralContainers lets containers be added, never changed or
// removed (KEP-277).
func validateEphemeralContainers(p, old *corev1.Pod) field.ErrorList {
	spec := field.NewPath("spec")
	errs := checkPod(p, old)
	path := spec.Child("ephemeralContainers")
	now := make(map[string]*corev1.EphemeralContainer, len(p.Spec.EphemeralContainers))
	for i := range p.Spec.EphemeralContainers {
		c := &p.Spec.EphemeralContainers[i]
		now[c.Name] = c
	}
	for i := range old.Spec.EphemeralContainers {
		was := &old.Spec.EphemeralContainers[i]
		switch is := now[was.Name]; {
		case is == nil:
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be removed\n", was.Name)))
		case !apiequality.Semantic.DeepEqual(is, was):
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be changed\n%v",
				was.Name, diff.Diff(validate.Shown(was), validate.Shown(is)))))
		}
	}
	return errs
}

// preparePodResize lets through the containers' resources only.
func preparePodResize(p, old *corev1.Pod) {
	asked := p.DeepCopy()
	old.DeepCopy().DeepCopyInto(p)
	resizeContainers(p.Spec.Containers, asked.Spec.Containers)
	resizeContainers(p.Spec.InitContainers, asked.Spec.InitContainers)
}

func resizeContainers(list, asked []corev1.Container) {
	byName := make(map[string]*corev1.Container, len(asked))
	for i := range asked {
		byName[asked[i].Name] = &asked[i]
	}
	for i := range list {
		if c := byName[list[i].Name]; c != nil {
			list[i].Resources = c.Resources
			list[i].ResizePolicy = c.ResizePolicy
		}
	}
}

// validatePodResize checks a change of CPU and memory in place (KEP-1287).
func validatePodResize(p, old *corev1.Pod) field.ErrorList {
	spec := field.NewPath("spec")
	errs := checkPod(p, old)
	if p.Spec.OS != nil && p.Spec.OS.Name == corev1.Windows {
		errs = append(errs, field.Forbidden(spec, "windows pods cannot be resized"))
	}
	if _, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		errs = append(errs, field.Forbidden(field.NewPath(""), "static pods cannot be resized"))
	}
	if QOSClass(&p.Spec) != QOSClass(&old.Spec) {
		errs = append(errs, field.Invalid(spec, p.Status.QOSClass, "Pod QOS Class may not change as a result of resizing"))
	}
	for i := range p.Spec.Containers {
		was, is := old.Spec.Containers[i].Resources, p.Spec.Containers[i].Resources
		at := spec.Child("containers").Index(i).Child("resources")
		errs = append(errs, onlyCompute(is.Limits, was.Limits, "limits", at)...)
		errs = append(errs, onlyCompute(is.Requests, was.Requests, "requests", at)...)
	}
	return errs
}

// onlyCompute wants amounts other than CPU and memory to stay, and none to go.
func onlyCompute(is, was corev1.ResourceList, what string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range sortedResources(was) {
		if _, kept := is[name]; !kept {
			errs = append(errs, field.Forbidden(at.Child(what), "resource "+what+" cannot be removed"))
			break
		}
	}
	for _, name := range sortedResources(is) {
		q, before := is[name], was[name]
		if name != corev1.ResourceCPU && name != corev1.ResourceMemory && q.Cmp(before) != 0 {
			errs = append(errs, field.Forbidden(at, "only cpu and memory resources are mutable"))
		}
	}
	return errs
}
