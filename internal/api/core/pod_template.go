package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
)

func podTemplateKind() *api.Kind {
	return api.Spec[*corev1.PodTemplate]{
		Version: version, Name: "PodTemplate", Resource: "podtemplates", Singular: "podtemplate",
		Namespaced:          true,
		New:                 func() *corev1.PodTemplate { return &corev1.PodTemplate{} },
		NewList:             func() runtime.Object { return &corev1.PodTemplateList{} },
		UnconditionalUpdate: true,
	}.Kind()
}
