// Package replicaset keeps as many pods running as each ReplicaSet says. The
// work is done by internal/controller/internal/replicas, where the invariants
// stand; this package writes the status of ReplicaSets and nobody else does.
package replicaset

import (
	appsv1 "k8s.io/api/apps/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/replicas"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *replicas.Controller[*appsv1.ReplicaSet] {
	return replicas.New(replicas.Kind[*appsv1.ReplicaSet]{
		Name: "replicaset", GVK: appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
		View: func(rs *appsv1.ReplicaSet) *appsv1.ReplicaSet { return rs },
		WithStatus: func(rs *appsv1.ReplicaSet, status appsv1.ReplicaSetStatus) *appsv1.ReplicaSet {
			out := rs.DeepCopy()
			out.Status = status
			return out
		},
	}, c, inf, events, opts)
}
