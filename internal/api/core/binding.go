package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api"
)

func bindingKind() *api.Kind {
	return api.Spec[*corev1.Binding]{
		Version: version, Name: "Binding", Resource: "bindings", Singular: "binding",
		Namespaced: true,
		Verbs:      []string{"create"},
		Virtual:    true,
		New:        func() *corev1.Binding { return &corev1.Binding{} },
	}.Kind()
}
