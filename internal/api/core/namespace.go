package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
)

func namespaceKind() *api.Kind {
	return api.Spec[*corev1.Namespace]{
		Version: version, Name: "Namespace", Resource: "namespaces", Singular: "namespace",
		ShortNames: []string{"ns"},
		Verbs:      []string{"create", "delete", "get", "list", "patch", "update", "watch"},
		New:        func() *corev1.Namespace { return &corev1.Namespace{} },
		NewList:    func() runtime.Object { return &corev1.NamespaceList{} },
		Status:     &api.RulesOf[*corev1.Namespace]{},
		Subresources: []api.Subresource{
			{Name: "finalize", GVK: gvk("Namespace"), Verbs: []string{"update"}},
		},
		UnconditionalUpdate: true,
	}.Kind()
}
