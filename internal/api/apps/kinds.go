// Package apps declares the kinds of the API group apps: what runs pods and
// keeps them running. It holds no state.
package apps

import (
	"slices"

	autoscalingv1 "k8s.io/api/autoscaling/v1"

	"github.com/knarr-io/knarr/internal/api"
)

const (
	group   = "apps"
	version = "v1"
)

// Kinds are the kinds of apps/v1.
func Kinds() []*api.Kind {
	return []*api.Kind{
		ControllerRevision(), DaemonSet(), Deployment(), ReplicaSet(), StatefulSet(),
	}
}

func all() []string { return []string{"all"} }

func scaleOf(s api.ScaleOf) api.Subresource {
	return api.Subresource{
		Name:  "scale",
		GVK:   autoscalingv1.SchemeGroupVersion.WithKind("Scale"),
		Verbs: []string{"get", "patch", "update"},
		Scale: &s,
	}
}

func columns(lists ...[]api.Column) []api.Column { return slices.Concat(lists...) }
