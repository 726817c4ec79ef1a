package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
)

func nodeKind() *api.Kind {
	return api.Spec[*corev1.Node]{
		Version: version, Name: "Node", Resource: "nodes", Singular: "node",
		ShortNames: []string{"no"},
		New:        func() *corev1.Node { return &corev1.Node{} },
		NewList:    func() runtime.Object { return &corev1.NodeList{} },
		Status:     &api.RulesOf[*corev1.Node]{},
		Subresources: []api.Subresource{
			{Name: "proxy", GVK: gvk("NodeProxyOptions"), Verbs: connectVerbs()},
		},
		UnconditionalUpdate: true,
	}.Kind()
}
