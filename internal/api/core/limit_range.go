package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
)

func limitRangeKind() *api.Kind {
	return api.Spec[*corev1.LimitRange]{
		Version: version, Name: "LimitRange", Resource: "limitranges", Singular: "limitrange",
		ShortNames:          []string{"limits"},
		Namespaced:          true,
		New:                 func() *corev1.LimitRange { return &corev1.LimitRange{} },
		NewList:             func() runtime.Object { return &corev1.LimitRangeList{} },
		UnconditionalUpdate: true,
		CreateOnUpdate:      true,
	}.Kind()
}
