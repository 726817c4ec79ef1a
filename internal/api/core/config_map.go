package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
)

func configMapKind() *api.Kind {
	return api.Spec[*corev1.ConfigMap]{
		Version: version, Name: "ConfigMap", Resource: "configmaps", Singular: "configmap",
		ShortNames:          []string{"cm"},
		Namespaced:          true,
		New:                 func() *corev1.ConfigMap { return &corev1.ConfigMap{} },
		NewList:             func() runtime.Object { return &corev1.ConfigMapList{} },
		UnconditionalUpdate: true,
	}.Kind()
}
