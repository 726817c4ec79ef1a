package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// DefaultPodTemplate fills unset fields of a template's pod spec.
func DefaultPodTemplate(t *corev1.PodTemplateSpec) { DefaultPodSpec(&t.Spec) }

// DefaultPodSpec fills unset fields of a pod spec inside a template.
func DefaultPodSpec(spec *corev1.PodSpec) {}

// ValidatePodTemplate checks a new template, its labels and annotations
// included.
func ValidatePodTemplate(t *corev1.PodTemplateSpec, path *field.Path) field.ErrorList { return nil }

// ValidatePodTemplateUpdate checks a changed template against the old one:
// what the old one already used stays allowed.
func ValidatePodTemplateUpdate(t, old *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	return nil
}

// PodTemplateWarnings are the warnings for a template; old is nil on create.
func PodTemplateWarnings(t, old *corev1.PodTemplateSpec, path *field.Path) []string { return nil }
