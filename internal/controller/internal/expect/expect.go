// Package expect keeps a controller from acting on a past: it remembers what
// the controller wrote for a key and tells whether its informer has seen it.
//
// A tracker holds, per key, the objects created (by the revision that the
// server gave them) and those whose deletion was asked for or is over. It looks
// at the informer when asked and needs no events of its own.
package expect

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// patience is how long a write that is never seen holds its key up, as
// upstream's.
const patience = 5 * time.Minute

// View is where writes are looked for; an informer is one.
type View[T api.Object] interface {
	Get(namespace, name string) (T, bool)
	Seen() uint64
}

// Tracker remembers writes. Its zero value is not usable; see New.
type Tracker[T api.Object] struct {
	view View[T]
	mu   struct {
		sync.Mutex
		pending map[reconcile.Key]map[client.Key]written
	}
}

type written struct {
	uid      types.UID
	revision uint64 // of a creation; zero: a deletion
	gone     bool   // a deletion that has come to its end
	at       time.Time
}

// New makes a tracker that looks into the view.
func New[T api.Object](view View[T]) *Tracker[T] {
	t := &Tracker[T]{view: view}
	t.mu.pending = make(map[reconcile.Key]map[client.Key]written)
	return t
}

// Created remembers an object as the server returned it.
func (t *Tracker[T]) Created(key reconcile.Key, obj T) {
	t.put(key, obj, written{uid: obj.GetUID(), revision: client.Revision(obj), at: time.Now()})
}

// Deleting remembers that an object's deletion is about to be asked for.
func (t *Tracker[T]) Deleting(key reconcile.Key, obj T) {
	t.put(key, obj, written{uid: obj.GetUID(), at: time.Now()})
}

// Gone remembers that the server no longer has an object.
func (t *Tracker[T]) Gone(key reconcile.Key, obj T) {
	t.put(key, obj, written{uid: obj.GetUID(), gone: true, at: time.Now()})
}

// Failed forgets a deletion that did not come about.
func (t *Tracker[T]) Failed(key reconcile.Key, obj T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.mu.pending[key], client.KeyOf(obj))
}

// Forget drops everything about a key.
func (t *Tracker[T]) Forget(key reconcile.Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.mu.pending, key)
}

// Settled tells whether the view shows all writes for the key. Where it is
// false an event of the view is still to come, at the latest after Patience.
func (t *Tracker[T]) Settled(key reconcile.Key) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	pending := t.mu.pending[key]
	for k, w := range pending {
		if t.seen(k, w) {
			delete(pending, k)
		}
	}
	if len(pending) == 0 {
		delete(t.mu.pending, key)
		return true
	}
	return false
}

// Patience is the time after which a key is to be looked at again although
// nothing happened.
func (t *Tracker[T]) Patience() time.Duration { return patience }

func (t *Tracker[T]) put(key reconcile.Key, obj T, w written) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.pending[key] == nil {
		t.mu.pending[key] = make(map[client.Key]written)
	}
	t.mu.pending[key][client.KeyOf(obj)] = w
}

func (t *Tracker[T]) seen(k client.Key, w written) bool {
	if time.Since(w.at) >= patience {
		return true
	}
	obj, ok := t.view.Get(k.Namespace, k.Name)
	if w.revision == 0 {
		return !ok || obj.GetUID() != w.uid || !w.gone && obj.GetDeletionTimestamp() != nil
	}
	return ok && client.Revision(obj) >= w.revision || t.view.Seen() >= w.revision
}
