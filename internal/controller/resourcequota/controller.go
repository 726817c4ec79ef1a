// Package resourcequota keeps the status of ResourceQuotas: what of their hard
// amounts the objects of their namespace use.
//
// The API server writes to it too, of what it has just stored; this controller
// has the last word. It keeps no state beside its informers: those of built-in
// kinds that only count/ names are made when the first quota names them, those
// of custom resources follow their definitions. That no quota is exceeded is
// the API server's doing, which does not rely on the status.
package resourcequota

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/quota"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// recount is how often a quota is looked at without a change: pods may be past
// their end.
const recount = 5 * time.Minute

// Controller runs the loop. Make it with New.
type Controller struct {
	quotas  client.Typed[*corev1.ResourceQuota]
	held    *client.Informer[*corev1.ResourceQuota]
	sources *sources
	loop    *reconcile.Controller[reconcile.Key]
}

// New wires the controller to the informer of quotas.
func New(c *client.Client, inf *client.Informers, opts reconcile.Options) *Controller {
	r := &Controller{quotas: client.For[*corev1.ResourceQuota](c), held: client.InformerFor[*corev1.ResourceQuota](inf)}
	r.loop = reconcile.New("resourcequota", r.reconcile, opts)
	r.held.OnChange(own.Enqueuer[*corev1.ResourceQuota](r.loop.Enqueue))
	r.sources = newSources(c, inf, r.wake)
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.held)
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	q, ok := r.held.Get(key.Namespace, key.Name)
	if !ok || q.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	objects := map[schema.GroupResource][]api.Object{}
	for gr, source := range r.sources.of(q) {
		if err := source.WaitSynced(ctx); err != nil {
			return reconcile.Result{}, err
		}
		objects[gr] = source.List(q.Namespace, nil)
	}
	status, changed := plan(q, objects, time.Now())
	if !changed {
		return reconcile.Result{RequeueAfter: recount}, nil
	}
	next := q.DeepCopy()
	next.Status = status
	if _, err := r.quotas.UpdateStatus(ctx, next); err != nil && !apierrors.IsNotFound(err) {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: recount}, nil
}

// wake has the quotas counted anew that limit what an object is.
func (r *Controller) wake(gr schema.GroupResource, obj api.Object) {
	for _, q := range r.held.List(obj.GetNamespace(), nil) {
		if quota.Limits(q.Spec.Hard, gr) {
			r.loop.Enqueue(own.KeyOf(q))
		}
	}
}
