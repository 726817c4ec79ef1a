package cache

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/fields"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
)

// Resource holds the objects of one kind. Safe for concurrent use.
type Resource struct {
	cache  *Cache
	kind   *api.Kind
	prefix string // of the store's keys, with a slash at the end
	codec  *codec

	past pastStates
	next atomic.Pointer[Resource] // set when the kind changed or went

	mu     sync.RWMutex
	live   *state             // guarded by mu
	shared *Snapshot          // guarded by mu: live's copy while nothing changed
	base   store.Revision     // guarded by mu: of the state that was loaded
	last   store.Revision     // guarded by mu: of the newest event applied
	all    *feed              // guarded by mu: every event
	scopes map[scopeKey]*feed // guarded by mu: those that are watched
	closed bool               // guarded by mu
}

func newResource(c *Cache, k *api.Kind) *Resource {
	return &Resource{
		cache: c, kind: k, prefix: keyPrefix(k), codec: newCodec(k, sealerOf(c.options.Seals, k.GroupResource())),
		live: newState(k), all: newFeed(resourceChunk), scopes: map[scopeKey]*feed{}, past: pastStates{reading: make(chan struct{}, 1)},
	}
}

// keyPrefix is where a kind's objects lie: /group/resource/.
func keyPrefix(k *api.Kind) string {
	group := k.GVK.Group
	if group == "" {
		group = "core"
	}
	return "/" + group + "/" + k.Resource + "/"
}

// Kind is the kind of the objects as stored.
func (r *Resource) Kind() *api.Kind { return r.kind }

// Get finds an object at its newest; namespace is empty for kinds without.
func (r *Resource) Get(namespace, name string) (*Item, bool) {
	return r.get(joinKey(r.prefix, r.kind.Namespaced, namespace, name))
}

func (r *Resource) get(key string) (*Item, bool) {
	r = r.now()
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.live.items.Get(key)
}

// Snapshot is the newest state. It costs O(1).
func (r *Resource) Snapshot() Snapshot {
	r = r.now()
	// Read before the lock: what was applied by then is in the state.
	applied := r.cache.Revision()
	r.mu.RLock()
	shared, last := r.shared, r.last
	r.mu.RUnlock()
	if shared == nil {
		shared, last = r.share()
	}
	out := *shared
	out.revision = max(applied, last)
	return out
}

func (r *Resource) share() (*Snapshot, store.Revision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shared == nil {
		r.shared = r.snapshotOf(r.live.clone(), r.last)
	}
	return r.shared, r.last
}

func (r *Resource) snapshotOf(s *state, rev store.Revision) *Snapshot {
	return &Snapshot{state: s, prefix: r.prefix, namespaced: r.kind.Namespaced, revision: rev}
}

// apply makes changes visible, in order. Only the follower calls it.
func (r *Resource) apply(batch []incoming, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range batch {
		r.applyLocked(&batch[i], now)
	}
	r.shared = nil
	r.all.history.trim(r.cache.limits, now)
	r.all.wake()
}

func (r *Resource) applyLocked(in *incoming, now time.Time) {
	if in.rev <= r.base {
		return // the state that was loaded has it
	}
	old, exists := r.live.items.Get(in.key)
	ev := Event{Type: Added, Item: in.item, Old: old, Revision: in.rev}
	switch {
	case in.deleted && !exists:
		return // it could not be read when it came
	case in.deleted:
		ev.Type = Deleted
		if in.item == nil {
			ev.Item = r.tombstone(old)
			ev.Item.commit(in.rev)
		}
		r.live.replace(old, nil)
	default:
		if exists {
			ev.Type = Modified
		}
		r.live.replace(old, in.item)
	}
	if exists {
		r.cache.check(old)
	}
	r.all.history.add(ev, now)
	r.scopeEventLocked(ev, now)
	r.last = in.rev
}

// reset starts over with a state; watches of the time before lose their place.
func (r *Resource) reset(s *state, rev store.Revision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live, r.shared, r.last, r.base = s, nil, rev, rev
	r.all.history.reset(rev)
	r.all.wake()
	for _, f := range r.scopes {
		f.history.reset(rev)
		f.wake()
	}
}

// reachBack says that nothing happened between a revision and the state that
// was loaded: watches may begin there.
func (r *Resource) reachBack(rev store.Revision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all.history.floor = min(r.all.history.floor, rev)
}

func (r *Resource) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.all.wake()
	for _, f := range r.scopes {
		f.wake()
	}
}

// newItem describes an object that lies, or is to lie, under the key.
func (r *Resource) newItem(key string, obj api.Object, size int) *Item {
	if r.kind.Custom == nil {
		r.cache.sets.share(obj)
	}
	item := &Item{Object: obj, key: key, resource: r, size: int32(size)}
	if len(r.kind.IndexedFields) > 0 {
		item.index = indexValues(r.kind, obj)
	}
	return item
}

func indexValues(k *api.Kind, obj api.Object) []string {
	var set fields.Set
	if k.Fields != nil {
		set = k.Fields(obj)
	}
	out := make([]string, len(k.IndexedFields))
	for i, name := range k.IndexedFields {
		out[i] = strings.ReplaceAll(set[name], "\x00", "")
	}
	return out
}
