package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
)

func persistentVolumeClaimKind() *api.Kind {
	return api.Spec[*corev1.PersistentVolumeClaim]{
		Version: version, Name: "PersistentVolumeClaim", Resource: "persistentvolumeclaims", Singular: "persistentvolumeclaim",
		ShortNames:          []string{"pvc"},
		Namespaced:          true,
		New:                 func() *corev1.PersistentVolumeClaim { return &corev1.PersistentVolumeClaim{} },
		NewList:             func() runtime.Object { return &corev1.PersistentVolumeClaimList{} },
		Status:              &api.RulesOf[*corev1.PersistentVolumeClaim]{},
		UnconditionalUpdate: true,
	}.Kind()
}
