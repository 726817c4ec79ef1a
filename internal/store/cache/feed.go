package cache

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/knarr-io/knarr/internal/store"
)

// feed is a history with its watchers' wake-up. The resource's lock guards it.
type feed struct {
	history  history
	changed  chan struct{} // closed when events came
	waiting  atomic.Bool   // somebody waits for changed; set under a read lock
	watchers int           // of a scope: it goes with the last of them
}

func newFeed(chunkLen int) *feed {
	return &feed{history: history{chunkLen: chunkLen}, changed: make(chan struct{})}
}

func (f *feed) wake() {
	if f.waiting.Swap(false) {
		close(f.changed)
		f.changed = make(chan struct{})
	}
}

// Scope narrows a watch to one object (Name, and Namespace where the kind has
// them) or to the objects whose indexed field has a value.
type Scope struct {
	Namespace, Name string
	Field, Value    string
}

// scopeKey is a scope as the resource finds it: an indexed field's number and
// value, or scopeObject and a store key.
type scopeKey struct {
	index int
	value string
}

const scopeObject = -1

func (k scopeKey) covers(item *Item) bool {
	switch {
	case item == nil:
		return false
	case k.index == scopeObject:
		return item.key == k.value
	}
	return item.index[k.index] == k.value
}

// scopeChunk is small: most scopes see few events.
const scopeChunk = 8

// WatchScope is Watch for the events of a scope alone: those whose new or old
// state is in it. Its cost follows what happens in the scope, not in the
// resource. ok is false where the scope names a field that is not indexed;
// the caller then filters a Watch of everything.
func (r *Resource) WatchScope(after store.Revision, scope Scope) (w *Watch, ok bool, err error) {
	for {
		r = r.now()
		if w, ok, err = r.watchScope(after, scope); !r.replaced(err) {
			return w, ok, err
		}
	}
}

func (r *Resource) watchScope(after store.Revision, scope Scope) (w *Watch, ok bool, err error) {
	key := scopeKey{scopeObject, joinKey(r.prefix, r.kind.Namespaced, scope.Namespace, scope.Name)}
	if scope.Name == "" {
		key = scopeKey{slices.Index(r.kind.IndexedFields, scope.Field), scope.Value}
		if key.index < 0 {
			return nil, false, nil
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.scopes[key]
	if f == nil {
		f = r.newScopeLocked(key)
	}
	if w, err = r.watchLocked(f, after); err != nil {
		return nil, true, err
	}
	w.scope = key
	f.watchers++
	r.scopes[key] = f
	return w, true, nil
}

// newScopeLocked fills a scope's feed with what the resource's history holds.
func (r *Resource) newScopeLocked(key scopeKey) *feed {
	f := newFeed(scopeChunk)
	f.history.floor = r.all.history.floor
	for _, c := range r.all.history.chunks {
		for _, ev := range c.events {
			if key.covers(ev.Item) || key.covers(ev.Old) {
				f.history.add(ev, c.newest)
			}
		}
	}
	return f
}

func (r *Resource) leaveScope(key scopeKey, f *feed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.watchers--; f.watchers == 0 {
		delete(r.scopes, key)
	}
}

// scopeEventLocked adds an event to the scopes that it touches.
func (r *Resource) scopeEventLocked(ev Event, now time.Time) {
	if len(r.scopes) == 0 {
		return
	}
	r.scopeAddLocked(scopeKey{scopeObject, ev.Item.key}, ev, now)
	for i, value := range ev.Item.index {
		r.scopeAddLocked(scopeKey{i, value}, ev, now)
		if ev.Old != nil && ev.Old.index[i] != value {
			r.scopeAddLocked(scopeKey{i, ev.Old.index[i]}, ev, now)
		}
	}
}

func (r *Resource) scopeAddLocked(key scopeKey, ev Event, now time.Time) {
	f := r.scopes[key]
	if f == nil {
		return
	}
	f.history.add(ev, now)
	f.history.trim(r.cache.limits, now)
	f.wake()
}
