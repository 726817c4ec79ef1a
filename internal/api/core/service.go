package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
)

func serviceKind() *api.Kind {
	return api.Spec[*corev1.Service]{
		Version: version, Name: "Service", Resource: "services", Singular: "service",
		ShortNames: []string{"svc"},
		Categories: []string{"all"},
		Namespaced: true,
		New:        func() *corev1.Service { return &corev1.Service{} },
		NewList:    func() runtime.Object { return &corev1.ServiceList{} },
		Status:     &api.RulesOf[*corev1.Service]{},
		Subresources: []api.Subresource{
			{Name: "proxy", GVK: gvk("ServiceProxyOptions"), Verbs: connectVerbs()},
		},
		UnconditionalUpdate: true,
		CreateOnUpdate:      true,
	}.Kind()
}
