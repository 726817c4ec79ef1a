package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/knarr-io/knarr/internal/store"
)

// incoming is one change on its way into a resource.
type incoming struct {
	key     string
	item    *Item // nil: a deletion that nobody prepared an item for
	deleted bool
	rev     store.Revision
}

// follower applies the store's changes. It is the only writer of every
// resource's state; its fields belong to its goroutine.
type follower struct {
	cache   *Cache
	touched []*Resource
	pending map[*Resource][]incoming
	decode  []store.Record
	slots   []int
}

func (c *Cache) follow(ctx context.Context, watch store.Watch) {
	defer close(c.stopped)
	f := &follower{cache: c, pending: make(map[*Resource][]incoming)}
	err := f.run(ctx, watch)
	if ctx.Err() == nil && !errors.Is(err, store.ErrClosed) {
		c.options.Logger.Error("following the store ended; reads go on with the last state", "error", err)
		err = fmt.Errorf("%w, for it cannot be followed: %w", store.ErrClosed, err)
		c.gate.Close(err)
		if c.options.OnFailure != nil {
			c.options.OnFailure(err)
		}
	}
	c.gate.Close(store.ErrClosed)
	c.applying.Lock()
	defer c.applying.Unlock()
	for _, r := range c.Resources() {
		r.close()
	}
}

func (f *follower) run(ctx context.Context, watch store.Watch) error {
	for {
		err := f.drain(ctx, watch)
		watch.Stop()
		if !errors.Is(err, store.ErrTooOld) {
			return err
		}
		// Behind what the engine keeps: start over. Watchers learn it by
		// ErrTooOld, as their histories begin anew.
		f.cache.options.Logger.Warn("fell behind the store's history; loading all objects again")
		loaded, err := f.startOver(ctx)
		if err != nil {
			return err
		}
		f.cache.gate.Advance(loaded)
		if watch, err = f.cache.store.Watch(ctx, "/", loaded); err != nil {
			return err
		}
	}
}

func (f *follower) startOver(ctx context.Context) (store.Revision, error) {
	f.cache.applying.Lock()
	defer f.cache.applying.Unlock()
	if f.cache.loading != nil {
		f.cache.loading.lost = true
	}
	loaded, err := f.cache.load(ctx, 0)
	f.cache.unread.begin(loaded)
	for _, r := range f.cache.Resources() {
		f.cache.unread.forget(r.prefix) // its changes are not passed over
	}
	return loaded, err
}

func (f *follower) drain(ctx context.Context, watch store.Watch) error {
	for {
		changes, err := watch.Next(ctx)
		if err != nil {
			return err
		}
		f.apply(changes)
	}
}

// apply makes a batch visible, with one lock and one wake-up per resource.
func (f *follower) apply(changes []store.Change) {
	now := time.Now()
	f.cache.applying.Lock()
	defer f.cache.applying.Unlock()
	f.setAside(changes)
	f.decodeUnknown(changes)
	for i := range changes {
		f.route(&changes[i])
	}
	for _, r := range f.touched {
		batch := f.pending[r]
		r.apply(batch, now)
		clear(batch)
		f.pending[r] = batch[:0]
		if r.kind.Custom != nil {
			delete(f.pending, r) // it may go: nothing must hold it
		}
	}
	if len(f.touched) > 0 {
		f.cache.scheduleExpiry(f.cache.limits.age)
	}
	f.touched = f.touched[:0]
	if n := len(changes); n > 0 {
		f.cache.gate.Advance(changes[n-1].Revision)
	}
}

// setAside keeps the changes of a resource that is being read.
func (f *follower) setAside(changes []store.Change) {
	l := f.cache.loading
	if l == nil {
		return
	}
	for _, ch := range changes {
		if hasPrefix(ch.Key, l.prefix) {
			ch.Note = nil
			l.changes = append(l.changes, ch)
		}
	}
}

// decodeUnknown puts an item in the note of every change that came without:
// those of other processes, of restarts, and of a follower that was slow.
func (f *follower) decodeUnknown(changes []store.Change) {
	f.decode, f.slots = f.decode[:0], f.slots[:0]
	for i, ch := range changes {
		if item, ok := ch.Note.(*Item); ok && item.resource.cache == f.cache && f.cache.resourceOf(item.key) == item.resource {
			continue
		}
		changes[i].Note = nil // another cache's, or of a kind that has changed
		if !ch.Deleted() {
			f.decode = append(f.decode, store.Record{Key: ch.Key, Value: ch.Value, Modified: ch.Revision})
			f.slots = append(f.slots, i)
		}
	}
	if len(f.decode) == 0 {
		return
	}
	for i, item := range f.cache.decodeAll(f.decode, f.cache.resourceOf) {
		if item != nil {
			changes[f.slots[i]].Note = item
		}
	}
	clear(f.decode)
}

// route queues a change for its resource.
func (f *follower) route(ch *store.Change) {
	item, _ := ch.Note.(*Item)
	var r *Resource
	if item != nil {
		r = item.resource
	} else if r = f.cache.resourceOf(ch.Key); r == nil || !ch.Deleted() {
		if r == nil {
			f.cache.unread.pass(ch.Key, ch.Revision)
		}
		return
	}
	if item != nil && item.Revision == 0 {
		item.commit(ch.Revision)
		f.cache.remember(item)
	}
	if len(f.pending[r]) == 0 {
		f.touched = append(f.touched, r)
	}
	f.pending[r] = append(f.pending[r], incoming{key: ch.Key, item: item, deleted: ch.Deleted(), rev: ch.Revision})
}
