// Package garbage deletes what its owners left behind. It follows the owner
// references of all kinds: a deletion in the background lets dependents go
// after their owner, one in the foreground before it, and an orphaning one
// lets them stay.
//
// It owns the finalizers "foregroundDeletion" and "orphan", and takes owner
// references off dependents. It works on what its informers tell and asks the
// server only before it believes that an owner is gone.
package garbage

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop. Make it with New.
type Controller struct {
	client *client.Client
	life   context.Context // ends with Run
	end    context.CancelFunc
	events *record.Recorder
	graph  *graph
	loop   *reconcile.Controller[types.UID]

	mu        sync.RWMutex
	informers map[*api.Kind]*client.Informer[api.Object] // by stored kind; guarded by mu
}

// New wires the controller to the informers of all kinds.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{client: c, events: events, graph: newGraph(), informers: map[*api.Kind]*client.Informer[api.Object]{}}
	r.loop = reconcile.New("garbage-collector", r.reconcile, opts)
	r.end = r.begin()
	for _, kind := range c.Catalog().Kinds() {
		if collectable(kind) {
			r.informers[kind] = client.InformerOf(inf, kind)
		}
	}
	for _, informer := range r.all() { // once the map is whole: handlers read it
		kind := informer.Kind()
		informer.OnChange(func(old, new api.Object) { r.changed(kind, old, new) })
	}
	r.follow(inf)
	return r
}

// collectable tells whether objects of the kind take part. Events do not:
// they own nothing and expire by themselves.
func collectable(kind *api.Kind) bool {
	return !kind.Virtual && kind.View == nil && kind.TTL == nil &&
		kind.HasVerb("delete") && kind.HasVerb("list") && kind.HasVerb("watch")
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	defer r.end()
	for _, informer := range r.all() {
		if informer.WaitSynced(ctx) != nil {
			return
		}
	}
	r.loop.Run(ctx)
}

// changed keeps the graph and enqueues what the change concerns.
func (r *Controller) changed(kind *api.Kind, old, new api.Object) {
	if new == nil {
		r.gone(old)
		return
	}
	uid := new.GetUID()
	waits := waitsForDependents(new) || orphansDependents(new)
	if len(new.GetOwnerReferences()) == 0 && !waits {
		// A new informer tells of what another one has told of before.
		if old == nil || len(old.GetOwnerReferences()) > 0 || waitsForDependents(old) || orphansDependents(old) {
			r.release(uid)
		}
		return
	}
	before, _ := r.graph.get(uid)
	moved := r.graph.put(item{kind: kind, namespace: new.GetNamespace(), name: new.GetName(), uid: uid, owners: new.GetOwnerReferences()})
	if moved {
		r.wakeWaiting(before)
	}
	if moved && len(new.GetOwnerReferences()) > 0 && !r.ownersThere(new) {
		r.loop.Enqueue(uid)
	}
	if !waits {
		return
	}
	r.loop.Enqueue(uid)
	if waitsForDependents(new) && (old == nil || !waitsForDependents(old)) {
		for _, dependent := range r.graph.dependentsOf(uid) {
			r.loop.Enqueue(dependent.uid)
		}
	}
}

// gone wakes the dependents of an object that was deleted, and owners that
// waited for it.
func (r *Controller) gone(old api.Object) {
	r.release(old.GetUID())
	for _, dependent := range r.graph.dependentsOf(old.GetUID()) {
		r.loop.Enqueue(dependent.uid)
	}
}

// release takes an object out of the graph, where it is there.
func (r *Controller) release(uid types.UID) {
	if it, known := r.graph.get(uid); known {
		r.graph.drop(uid)
		r.wakeWaiting(it)
	}
}

// wakeWaiting enqueues the owners that an object had in the graph and that wait
// for their dependents.
func (r *Controller) wakeWaiting(it item) {
	for _, ref := range it.owners {
		if it, ok := r.graph.get(ref.UID); ok {
			if owner, ok := r.object(it); ok && waitsForDependents(owner) {
				r.loop.Enqueue(ref.UID)
			}
		}
	}
}

// ownersThere tells whether every owner is held by an informer, at the same
// UID and not waiting.
func (r *Controller) ownersThere(obj api.Object) bool {
	for _, ref := range obj.GetOwnerReferences() {
		state, known := r.cachedState(obj, ref)
		if !known || state != ownerThere {
			return false
		}
	}
	return true
}

// object reads an item from its informer; false when it is not there or is
// another one by now.
func (r *Controller) object(it item) (api.Object, bool) {
	informer := r.informerOf(it.kind)
	if informer == nil {
		return nil, false
	}
	obj, ok := informer.Get(it.namespace, it.name)
	return obj, ok && obj.GetUID() == it.uid
}
