// Package replicationcontroller keeps as many pods running as each
// ReplicationController says: a ReplicaSet under an older name. The work is
// done by internal/controller/internal/replicas, where the invariants stand;
// this package writes the status of ReplicationControllers and nobody else
// does.
package replicationcontroller

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/replicas"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *replicas.Controller[*corev1.ReplicationController] {
	return replicas.New(replicas.Kind[*corev1.ReplicationController]{
		Name: "replicationcontroller", GVK: corev1.SchemeGroupVersion.WithKind("ReplicationController"),
		View: view, WithStatus: withStatus,
	}, c, inf, events, opts)
}
