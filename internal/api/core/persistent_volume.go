package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
)

func persistentVolumeKind() *api.Kind {
	return api.Spec[*corev1.PersistentVolume]{
		Version: version, Name: "PersistentVolume", Resource: "persistentvolumes", Singular: "persistentvolume",
		ShortNames:          []string{"pv"},
		New:                 func() *corev1.PersistentVolume { return &corev1.PersistentVolume{} },
		NewList:             func() runtime.Object { return &corev1.PersistentVolumeList{} },
		Status:              &api.RulesOf[*corev1.PersistentVolume]{},
		UnconditionalUpdate: true,
	}.Kind()
}
