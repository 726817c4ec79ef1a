package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
)

func eventKind() *api.Kind {
	return api.Spec[*corev1.Event]{
		Version: version, Name: "Event", Resource: "events", Singular: "event",
		ShortNames:          []string{"ev"},
		Namespaced:          true,
		New:                 func() *corev1.Event { return &corev1.Event{} },
		NewList:             func() runtime.Object { return &corev1.EventList{} },
		UnconditionalUpdate: true,
		CreateOnUpdate:      true,
	}.Kind()
}
