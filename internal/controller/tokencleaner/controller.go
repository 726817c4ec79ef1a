// Package tokencleaner deletes bootstrap tokens that have expired. They let
// nobody in any more; this keeps their secrets from lying about.
//
// It deletes Secrets of that type in kube-system, writes nothing, and keeps no
// state beside its queue.
package tokencleaner

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/jointoken"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop. Make it with New.
type Controller struct {
	secrets client.Typed[*corev1.Secret]
	tokens  *client.Informer[*corev1.Secret]
	loop    *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informer.
func New(c *client.Client, inf *client.Informers, opts reconcile.Options) *Controller {
	r := &Controller{secrets: client.For[*corev1.Secret](c), tokens: client.InformerWith[*corev1.Secret](inf, client.Selection{
		Namespace: metav1.NamespaceSystem, Fields: "type=" + string(corev1.SecretTypeBootstrapToken),
	})}
	r.loop = reconcile.New("token-cleaner", r.reconcile, opts)
	r.tokens.OnChange(func(_, new *corev1.Secret) {
		if new != nil {
			r.loop.Enqueue(own.KeyOf(new))
		}
	})
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.tokens)
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	s, ok := r.tokens.Get(key.Namespace, key.Name)
	if !ok {
		return reconcile.Result{}, nil
	}
	at, never := jointoken.Expiry(s)
	if never {
		return reconcile.Result{}, nil
	}
	if left := time.Until(at); left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	err := r.secrets.Delete(ctx, s.Namespace, s.Name, metav1.DeleteOptions{
		// A token that changed may have been given more time.
		Preconditions: &metav1.Preconditions{UID: &s.UID, ResourceVersion: &s.ResourceVersion},
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return reconcile.Result{}, fmt.Errorf("delete the expired token %s: %w", key, err)
	}
	return reconcile.Result{}, nil
}
