// Package serviceaccount keeps the service account "default" in every
// namespace that is not being deleted. It writes nothing else.
package serviceaccount

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller/internal/pernamespace"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop.
type Controller = pernamespace.Controller[*corev1.ServiceAccount]

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, opts reconcile.Options) *Controller {
	return pernamespace.New("serviceaccount", c, inf, pernamespace.Rule[*corev1.ServiceAccount]{
		Name: "default",
		Make: func(namespace string) *corev1.ServiceAccount {
			return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}}
		},
	}, opts)
}
