package cache

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
)

// Kinds of custom resources come, change and go while the cache runs. A kind
// that comes is read from the store while the follower goes on; what happens
// to its objects meanwhile is kept aside and applied before the kind is shown.

// loading is a resource that is being read.
type loading struct {
	prefix  string
	changes []store.Change // guarded by the cache's applying
	// after is a revision up to which the resource has all changes already.
	after store.Revision
	// lost tells that the follower started over: the changes have a gap.
	lost bool // guarded by the cache's applying
}

// Put makes the objects of a kind available: of a new one, or in the place of
// one that is stored under the same group and resource. The objects of the
// latter are decoded anew, and its watches end. It blocks until all objects
// are there. Kinds that are views or virtual are refused.
func (c *Cache) Put(ctx context.Context, k *api.Kind) error {
	if k.Virtual || k.IsView() {
		return errors.New("only stored kinds can be put into the cache: " + k.GVK.String())
	}
	c.changing.Lock()
	defer c.changing.Unlock()
	for {
		r := newResource(c, k)
		done, err := c.readInto(ctx, r)
		if done || err != nil {
			return err
		}
	}
}

// Remove forgets a kind: its objects are not found any more and its watches
// end. What is stored stays.
func (c *Cache) Remove(k *api.Kind) {
	c.changing.Lock()
	defer c.changing.Unlock()
	r := c.Of(k)
	if r == nil {
		return
	}
	c.applying.Lock()
	c.known.Store(c.known.Load().without(r.prefix))
	c.applying.Unlock()
	c.checkResource(r)
	r.retire(nil)
}

// readInto fills a resource and shows it. done is false where it must be done
// again, because the follower started over meanwhile.
func (c *Cache) readInto(ctx context.Context, r *Resource) (done bool, err error) {
	l := &loading{prefix: r.prefix}
	c.setLoading(l)
	defer c.setLoading(nil)
	if l.after, err = c.readPast(ctx, r, c.pastOf(r.prefix)); err != nil {
		return false, err
	}
	old, done, err := c.show(r, l)
	if old != nil {
		c.checkResource(old)
		old.retire(r)
	}
	return done, err
}

// pastOf is the history of a kind that is being read, for which changes are
// kept aside already.
func (c *Cache) pastOf(prefix string) past {
	c.applying.Lock()
	defer c.applying.Unlock()
	return c.unread.past(prefix, c.gate.Revision())
}

func (c *Cache) setLoading(l *loading) {
	c.applying.Lock()
	defer c.applying.Unlock()
	c.loading = l
}

// show applies what happened while the resource was read, and puts it in the
// place of the one before, which it returns.
func (c *Cache) show(r *Resource, l *loading) (old *Resource, done bool, err error) {
	c.applying.Lock()
	defer c.applying.Unlock()
	if l.lost {
		return nil, false, nil
	}
	unseen := slices.DeleteFunc(l.changes, func(ch store.Change) bool { return ch.Revision <= l.after })
	if batch := r.decodeChanges(unseen); len(batch) > 0 {
		r.apply(batch, time.Now())
	}
	known := c.known.Load()
	old = known.byPrefix[r.prefix]
	next := known.without(r.prefix)
	if err := next.add(r); err != nil {
		return nil, false, err
	}
	c.known.Store(next)
	c.unread.forget(r.prefix)
	select {
	case <-c.stopped:
		r.close()
		return old, false, store.ErrClosed
	default:
		return old, true, nil
	}
}

func (r *Resource) decodeChanges(changes []store.Change) []incoming {
	var batch []incoming
	for _, ch := range changes {
		in := incoming{key: ch.Key, deleted: ch.Deleted(), rev: ch.Revision}
		if !in.deleted {
			if in.item = r.cache.decodeFor(r, ch.Key, ch.Value, ch.Revision); in.item == nil {
				continue // it cannot be read, and was logged
			}
		}
		batch = append(batch, in)
	}
	return batch
}

// retire ends a resource. Who still holds it reads from next from now on;
// where that is nil there is nothing any more.
func (r *Resource) retire(next *Resource) {
	if next == nil {
		next = &Resource{cache: r.cache, kind: r.kind, prefix: r.prefix, codec: r.codec, live: newState(r.kind), all: newFeed(resourceChunk), closed: true}
	}
	r.next.Store(next)
	r.close()
}

// now is the resource that reads go to.
func (r *Resource) now() *Resource {
	for {
		next := r.next.Load()
		if next == nil {
			return r
		}
		r = next
	}
}
