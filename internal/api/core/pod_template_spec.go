package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// ValidatePodTemplate checks a new template, its labels and annotations
// included.
func ValidatePodTemplate(t *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	return validatePodTemplate(t, nil, path)
}

// ValidatePodTemplateUpdate checks a changed template against the old one:
// what the old one already used stays allowed.
func ValidatePodTemplateUpdate(t, old *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	return validatePodTemplate(t, old, path)
}

// ValidatePodTemplateMeta checks only the labels and annotations of a template.
func ValidatePodTemplateMeta(t *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := validate.Labels(t.Labels, path.Child("labels"))
	errs = append(errs, validate.Annotations(t.Annotations, path.Child("annotations"))...)
	return append(errs, podAnnotations(t.Annotations, &t.Spec, path.Child("annotations"))...)
}

func validatePodTemplate(t, old *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	p := podCheck{meta: &t.ObjectMeta, spec: &t.Spec}
	if old != nil {
		p.old = &old.Spec
	}
	spec := path.Child("spec")
	errs := ValidatePodTemplateMeta(t, path)
	errs = append(errs, p.podSpec(spec)...)
	return append(errs, forbidden(len(t.Spec.EphemeralContainers) > 0, spec.Child("ephemeralContainers"),
		"ephemeral containers not allowed in pod template")...)
}
