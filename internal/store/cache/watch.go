package cache

import (
	"context"
	"errors"
	"sync"

	"github.com/knarr-io/knarr/internal/store"
)

// Watch is a cursor in the history of a resource. It holds no events: a
// watcher that reads too slowly loses its place and gets store.ErrTooOld.
type Watch struct {
	resource *Resource
	feed     *feed
	scope    scopeKey // of a scope's feed
	after    store.Revision
	stop     chan struct{}
	stopOnce sync.Once

	mu     sync.Mutex
	cursor uint64 // guarded by mu
}

// Watch yields every event of the resource after the revision, which may lie
// ahead. It fails with store.ErrTooOld where events after it were dropped
// already, and with store.ErrClosed after Close.
func (r *Resource) Watch(after store.Revision) (*Watch, error) {
	for {
		r = r.now()
		w, err := r.watch(after)
		if !r.replaced(err) {
			return w, err
		}
	}
}

func (r *Resource) watch(after store.Revision) (*Watch, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.watchLocked(r.all, after)
}

// replaced tells that a watch could not begin for another resource has taken
// this one's place since it was found.
func (r *Resource) replaced(err error) bool {
	return errors.Is(err, store.ErrClosed) && r.next.Load() != nil
}

func (r *Resource) watchLocked(f *feed, after store.Revision) (*Watch, error) {
	if r.closed {
		return nil, store.ErrClosed
	}
	cursor, ok := f.history.seek(after)
	if !ok {
		return nil, store.ErrTooOld
	}
	return &Watch{resource: r, feed: f, after: after, cursor: cursor, stop: make(chan struct{})}, nil
}

// Next blocks until events are there and returns those that are ready, at
// most a few dozen at once. The slice is shared: it must not be changed. It
// ends with store.ErrTooOld when the watch fell behind the history, with
// store.ErrClosed after Stop or when the cache closed, and with ctx's error.
// Only one goroutine may call it.
func (w *Watch) Next(ctx context.Context) ([]Event, error) {
	for {
		events, changed, err := w.ready()
		if err != nil || len(events) > 0 {
			return events, err
		}
		select {
		case <-changed:
		case <-w.stop:
			return nil, store.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ready returns events, or the channel that is closed when there may be some.
func (w *Watch) ready() ([]Event, <-chan struct{}, error) {
	r := w.resource
	r.mu.RLock()
	defer r.mu.RUnlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		events, ok := w.feed.history.read(w.cursor)
		if !ok {
			return nil, nil, store.ErrTooOld
		}
		if len(events) == 0 {
			if r.closed {
				return nil, nil, store.ErrClosed
			}
			w.feed.waiting.Store(true)
			return nil, w.feed.changed, nil
		}
		w.cursor += uint64(len(events))
		for len(events) > 0 && events[0].Revision <= w.after {
			events = events[1:] // the watch started ahead of the present
		}
		if len(events) > 0 {
			return events, nil, nil
		}
	}
}

// Position is a revision up to which every event was returned by Next: the
// whole cache's newest where the watch has read everything.
func (w *Watch) Position() store.Revision {
	r := w.resource
	applied := r.cache.Revision()
	r.mu.RLock()
	defer r.mu.RUnlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	events, ok := w.feed.history.read(w.cursor)
	if !ok {
		return w.after
	}
	if len(events) > 0 {
		return max(w.after, events[0].Revision-1)
	}
	return max(w.after, applied)
}

// Stop ends the watch. It may be called more than once, at any time.
func (w *Watch) Stop() {
	w.stopOnce.Do(func() {
		close(w.stop)
		if w.feed != w.resource.all {
			w.resource.leaveScope(w.scope, w.feed)
		}
	})
}
