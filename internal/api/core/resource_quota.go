package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
)

func resourceQuotaKind() *api.Kind {
	return api.Spec[*corev1.ResourceQuota]{
		Version: version, Name: "ResourceQuota", Resource: "resourcequotas", Singular: "resourcequota",
		ShortNames:          []string{"quota"},
		Namespaced:          true,
		New:                 func() *corev1.ResourceQuota { return &corev1.ResourceQuota{} },
		NewList:             func() runtime.Object { return &corev1.ResourceQuotaList{} },
		Status:              &api.RulesOf[*corev1.ResourceQuota]{},
		UnconditionalUpdate: true,
	}.Kind()
}
