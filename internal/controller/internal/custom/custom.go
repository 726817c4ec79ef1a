// Package custom follows the kinds of custom resources for controllers that
// work on all objects of the API.
//
// A Follower holds one informer for each definition, over its preferred
// version. When a definition changes its kinds are others: a new informer takes
// the place of the old one, which ends. The follower owns which informers there
// are; the controller owns what it does with them.
package custom

import (
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
)

// Handler is told of informers. Its functions are called one at a time and
// must not block.
type Handler struct {
	// Come is told of an informer that has no handlers yet.
	Come func(*client.Informer[api.Object])
	// Gone is told of one that has ended; next is what took its place, or nil
	// where the resource is not served any more.
	Gone func(old, next *client.Informer[api.Object])
}

// Follower follows the catalogue of a client. Make it with Follow.
type Follower struct {
	client    *client.Client
	informers *client.Informers
	handler   Handler

	mu   sync.Mutex
	have map[schema.GroupResource]*client.Informer[api.Object] // guarded by mu
}

// Follow tells handler of the custom resources that there are, and of every
// change, as long as the process lives.
func Follow(c *client.Client, informers *client.Informers, handler Handler) *Follower {
	f := &Follower{client: c, informers: informers, handler: handler, have: map[schema.GroupResource]*client.Informer[api.Object]{}}
	c.Catalog().OnChange(f.look)
	f.look()
	return f
}

// Kinds are the kinds that are followed now.
func (f *Follower) Kinds() []*api.Kind {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]*api.Kind, 0, len(f.have))
	for _, informer := range f.have {
		out = append(out, informer.Kind())
	}
	return out
}

func (f *Follower) look() {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := map[schema.GroupResource]bool{}
	for _, kind := range f.client.Catalog().Custom() {
		if !kind.Custom.Preferred {
			continue
		}
		at := kind.GroupResource()
		seen[at] = true
		old := f.have[at]
		if old != nil && old.Kind() == kind {
			continue
		}
		next := client.InformerOf(f.informers, kind)
		f.have[at] = next
		f.handler.Come(next)
		f.endLocked(old, next)
	}
	for at, old := range f.have {
		if !seen[at] {
			delete(f.have, at)
			f.endLocked(old, nil)
		}
	}
}

func (f *Follower) endLocked(old, next *client.Informer[api.Object]) {
	if old == nil {
		return
	}
	f.informers.Forget(old.Kind())
	f.handler.Gone(old, next)
}
