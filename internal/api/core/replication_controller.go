package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
)

func replicationControllerKind() *api.Kind {
	return api.Spec[*corev1.ReplicationController]{
		Version: version, Name: "ReplicationController", Resource: "replicationcontrollers", Singular: "replicationcontroller",
		ShortNames: []string{"rc"},
		Categories: []string{"all"},
		Namespaced: true,
		New:        func() *corev1.ReplicationController { return &corev1.ReplicationController{} },
		NewList:    func() runtime.Object { return &corev1.ReplicationControllerList{} },
		Status:     &api.RulesOf[*corev1.ReplicationController]{},
		Subresources: []api.Subresource{
			{Name: "scale", GVK: schema.GroupVersionKind{Group: "autoscaling", Version: "v1", Kind: "Scale"}, Verbs: readWriteVerbs()},
		},
		UnconditionalUpdate: true,
		OrphanByDefault:     true,
	}.Kind()
}
