package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
)

func secretKind() *api.Kind {
	return api.Spec[*corev1.Secret]{
		Version: version, Name: "Secret", Resource: "secrets", Singular: "secret",
		Namespaced:          true,
		New:                 func() *corev1.Secret { return &corev1.Secret{} },
		NewList:             func() runtime.Object { return &corev1.SecretList{} },
		UnconditionalUpdate: true,
	}.Kind()
}
