package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
)

// componentStatusKind is a list that is always empty: everything of ours
// lives in one process, whose health /livez and /readyz tell.
func componentStatusKind() *api.Kind {
	return api.Spec[*corev1.ComponentStatus]{
		Version: version, Name: "ComponentStatus", Resource: "componentstatuses", Singular: "componentstatus",
		ShortNames: []string{"cs"},
		Verbs:      []string{"get", "list"},
		New:        func() *corev1.ComponentStatus { return &corev1.ComponentStatus{} },
		NewList:    func() runtime.Object { return &corev1.ComponentStatusList{} },
		Deprecated: "v1 ComponentStatus is deprecated in v1.19+",
	}.Kind()
}
