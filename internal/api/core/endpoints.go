package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
)

func endpointsKind() *api.Kind {
	return api.Spec[*corev1.Endpoints]{
		Version: version, Name: "Endpoints", Resource: "endpoints", Singular: "endpoints",
		ShortNames:          []string{"ep"},
		Namespaced:          true,
		New:                 func() *corev1.Endpoints { return &corev1.Endpoints{} },
		NewList:             func() runtime.Object { return &corev1.EndpointsList{} },
		UnconditionalUpdate: true,
		CreateOnUpdate:      true,
	}.Kind()
}
