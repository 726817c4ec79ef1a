package replicas

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
)

// Kind says how objects of type T count replicas. Its functions are pure.
type Kind[T api.Object] struct {
	// Name of the controller, in logs and metrics.
	Name string
	GVK  schema.GroupVersionKind
	// View is the object as a ReplicaSet, metadata included; it is only read.
	View func(T) *appsv1.ReplicaSet
	// WithStatus is a copy of the object that has the status.
	WithStatus func(T, appsv1.ReplicaSetStatus) T
}
