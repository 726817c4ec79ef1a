package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
)

func serviceAccountKind() *api.Kind {
	return api.Spec[*corev1.ServiceAccount]{
		Version: version, Name: "ServiceAccount", Resource: "serviceaccounts", Singular: "serviceaccount",
		ShortNames: []string{"sa"},
		Namespaced: true,
		New:        func() *corev1.ServiceAccount { return &corev1.ServiceAccount{} },
		NewList:    func() runtime.Object { return &corev1.ServiceAccountList{} },
		Subresources: []api.Subresource{
			{Name: "token", GVK: schema.GroupVersionKind{Group: "authentication.k8s.io", Version: "v1", Kind: "TokenRequest"}, Verbs: []string{"create"}},
		},
	}.Kind()
}
