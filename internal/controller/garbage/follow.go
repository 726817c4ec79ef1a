package garbage

import (
	"context"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller/internal/custom"
)

// follow takes custom resources in as their definitions come and go.
func (r *Controller) follow(inf *client.Informers) {
	custom.Follow(r.client, inf, custom.Handler{
		Come: func(informer *client.Informer[api.Object]) {
			kind := informer.Kind()
			r.mu.Lock()
			r.informers[kind.Stored()] = informer
			r.mu.Unlock()
			informer.OnChange(func(old, new api.Object) { r.changed(kind, old, new) })
		},
		Gone: func(old, next *client.Informer[api.Object]) {
			r.mu.Lock()
			delete(r.informers, old.Kind().Stored())
			r.mu.Unlock()
			go r.settle(old, next)
		},
	})
}

// settle tells of the objects that went while one informer took the place of
// another, which nobody else would tell of.
func (r *Controller) settle(old, next *client.Informer[api.Object]) {
	if next != nil && next.WaitSynced(r.life) != nil {
		return
	}
	for _, obj := range old.List("", nil) {
		if next == nil {
			r.gone(obj)
			continue
		}
		if now, found := next.Get(obj.GetNamespace(), obj.GetName()); !found || now.GetUID() != obj.GetUID() {
			r.gone(obj)
		}
	}
}

// informerOf is the informer that holds a kind's objects; nil for none.
func (r *Controller) informerOf(kind *api.Kind) *client.Informer[api.Object] {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.informers[kind.Stored()]
}

// all are the informers that there are now.
func (r *Controller) all() []*client.Informer[api.Object] {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]*client.Informer[api.Object], 0, len(r.informers))
	for _, informer := range r.informers {
		out = append(out, informer)
	}
	return out
}

// begin gives the controller the context that its waits end with.
func (r *Controller) begin() (end context.CancelFunc) {
	var cancel context.CancelFunc
	r.life, cancel = context.WithCancel(context.Background())
	return cancel
}
