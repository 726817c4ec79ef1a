package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateTolerations checks tolerations that stand outside of a pod.
func ValidateTolerations(list []corev1.Toleration, path *field.Path) field.ErrorList {
	return tolerations(list, path)
}
