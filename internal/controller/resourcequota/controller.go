// Package resourcequota keeps the status of ResourceQuotas: what of their hard
// amounts the objects of their namespace use.
//
// The API server writes to it too, of what it has just stored; this controller
// has the last word. It keeps no state beside its informers: those of kinds that
// only count/ names are made when the first quota names them. That no quota is
// exceeded is the API server's doing, which does not rely on the status.
package resourcequota

import (
	"context"
	"sync"
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

// recount is how often a quota is looked at without a change: custom kinds may
// have come, and pods may be past their end.
const recount = 5 * time.Minute

// Controller runs the loop. Make it with New.
type Controller struct {
	quotas client.Typed[*corev1.ResourceQuota]
	client *client.Client
	inf    *client.Informers
	held   *client.Informer[*corev1.ResourceQuota]
	loop   *reconcile.Controller[reconcile.Key]

	mu      sync.Mutex
	objects map[schema.GroupResource]*client.Informer[api.Object] // guarded by mu
}

// New wires the controller to the informer of quotas.
func New(c *client.Client, inf *client.Informers, opts reconcile.Options) *Controller {
	r := &Controller{
		quotas: client.For[*corev1.ResourceQuota](c), client: c, inf: inf,
		held:    client.InformerFor[*corev1.ResourceQuota](inf),
		objects: map[schema.GroupResource]*client.Informer[api.Object]{},
	}
	r.loop = reconcile.New("resourcequota", r.reconcile, opts)
	r.held.OnChange(own.Enqueuer[*corev1.ResourceQuota](r.loop.Enqueue))
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
	resources := limited(q, r.known())
	sources := map[schema.GroupResource]*client.Informer[api.Object]{}
	for _, gr := range resources {
		source := r.source(gr)
		if err := source.WaitSynced(ctx); err != nil {
			return reconcile.Result{}, err
		}
		sources[gr] = source
	}
	status, changed := plan(q, resources, func(gr schema.GroupResource) []api.Object {
		return sources[gr].List(q.Namespace, nil)
	}, time.Now())
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

// known are the resources that can be counted: those that lie in namespaces
// and are stored.
func (r *Controller) known() []schema.GroupResource {
	var out []schema.GroupResource
	seen := map[schema.GroupResource]bool{}
	for _, k := range r.client.Catalog().Kinds() {
		if gr := k.GroupResource(); k.Namespaced && !k.Virtual && !seen[gr] {
			seen[gr] = true
			out = append(out, gr)
		}
	}
	return out
}

// source is the informer of a resource's objects, made when it is first asked
// for. Its changes wake the quotas of their namespace that limit it.
func (r *Controller) source(gr schema.GroupResource) *client.Informer[api.Object] {
	r.mu.Lock()
	have := r.objects[gr]
	r.mu.Unlock()
	if have != nil {
		return have
	}
	made := client.InformerOf(r.inf, r.kindOf(gr))
	r.mu.Lock()
	if have := r.objects[gr]; have != nil {
		r.mu.Unlock()
		return have
	}
	r.objects[gr] = made
	r.mu.Unlock()
	made.OnChange(func(old, new api.Object) { r.wake(gr, old, new) })
	return made
}

func (r *Controller) kindOf(gr schema.GroupResource) *api.Kind {
	for _, k := range r.client.Catalog().Kinds() {
		if k.GroupResource() == gr && !k.Virtual {
			return k
		}
	}
	return nil
}

func (r *Controller) wake(gr schema.GroupResource, old, new api.Object) {
	obj := new
	if obj == nil {
		obj = old
	}
	for _, q := range r.held.List(obj.GetNamespace(), nil) {
		if quota.Limits(q.Spec.Hard, gr) {
			r.loop.Enqueue(own.KeyOf(q))
		}
	}
}
