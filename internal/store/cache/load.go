package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/knarr-io/knarr/internal/store"
)

// loadPage is how many records are read and decoded at a time.
const loadPage = 4096

// start loads all objects and begins to follow. It loads a state that lies
// back a little where the store still has it, and reads what came since as
// events: so watches resume after a restart.
func (c *Cache) start(ctx context.Context) error {
	newest := c.store.Revision()
	from := newest
	if c.options.Replay > 0 {
		from = max(c.store.Oldest(), newest-min(newest, store.Revision(c.options.Replay)))
	}
	follow, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	loaded, watch, err := c.loadAndWatch(ctx, follow, from)
	if err != nil {
		stop()
		return err
	}
	c.gate.Advance(loaded)
	c.unread.begin(loaded)
	go c.follow(follow, watch)
	err = c.gate.WaitFor(ctx, newest)
	if err == nil {
		err = c.checkOpened(ctx)
	}
	if err != nil {
		c.Close()
	}
	return err
}

// startAttempts bounds how often a start is overtaken by a compaction.
const startAttempts = 3

// loadAndWatch loads the state at a revision and begins a watch behind it. A
// compaction in between takes the history away: then it starts at the newest.
func (c *Cache) loadAndWatch(ctx, follow context.Context, from store.Revision) (loaded store.Revision, watch store.Watch, err error) {
	for range startAttempts {
		if loaded, err = c.loadFrom(ctx, from); err != nil {
			return 0, nil, err
		}
		watch, err = c.store.Watch(follow, "/", loaded)
		if !errors.Is(err, store.ErrTooOld) {
			break
		}
		from = c.store.Revision()
	}
	if err != nil {
		return 0, nil, fmt.Errorf("following the store from revision %d: %w", loaded, err)
	}
	return loaded, watch, nil
}

// loadFrom loads the state at a revision, or the newest where that was
// compacted meanwhile.
func (c *Cache) loadFrom(ctx context.Context, from store.Revision) (store.Revision, error) {
	if from == 0 {
		return 0, nil // before the first change there was nothing
	}
	loaded, err := c.load(ctx, from)
	if errors.Is(err, store.ErrTooOld) {
		return c.load(ctx, 0)
	}
	return loaded, err
}

// load fills every resource with its state at a revision; zero is the newest.
func (c *Cache) load(ctx context.Context, at store.Revision) (store.Revision, error) {
	resources := c.Resources()
	states := make(map[*Resource]*state, len(resources))
	for _, r := range resources {
		states[r] = newState(r.kind)
	}
	loaded, err := c.scan(ctx, "/", at, c.resourceOf, func(item *Item) {
		states[item.resource].replace(nil, item)
	})
	if err != nil {
		return 0, fmt.Errorf("loading the stored objects: %w", err)
	}
	for r, s := range states {
		r.reset(s, loaded)
	}
	return loaded, nil
}

// read makes a resource's state at a revision from the store's history.
func (c *Cache) read(ctx context.Context, r *Resource, at store.Revision) (*Snapshot, error) {
	s, rev, err := c.readState(ctx, r, at)
	if err != nil {
		return nil, err
	}
	return r.snapshotOf(s, rev), nil
}

// scan decodes everything with the prefix, on all cores, and hands the items
// over in order. It returns the revision of the state that it read.
func (c *Cache) scan(ctx context.Context, prefix string, at store.Revision, find func(key string) *Resource, each func(*Item)) (store.Revision, error) {
	page := store.Page{Prefix: prefix, Limit: loadPage, At: at}
	for {
		got, err := c.store.Scan(ctx, page)
		if err != nil {
			return 0, err
		}
		for _, item := range c.decodeAll(got.Records, find) {
			if item != nil {
				each(item)
			}
		}
		if !got.More {
			return got.Revision, nil
		}
		page.At, page.After = got.Revision, got.Records[len(got.Records)-1].Key
	}
}

// decodeAll decodes records in parallel. The result has nil for what is not
// of a known kind, or cannot be read.
func (c *Cache) decodeAll(records []store.Record, find func(key string) *Resource) []*Item {
	items := make([]*Item, len(records))
	workers := max(1, min(runtime.GOMAXPROCS(0), len(records)/64))
	var wg sync.WaitGroup
	for w := range workers {
		part := func() {
			for i := w; i < len(records); i += workers {
				items[i] = c.decodeFor(find(records[i].Key), records[i].Key, records[i].Value, records[i].Modified)
			}
		}
		if w == workers-1 {
			part()
			continue
		}
		wg.Go(part)
	}
	wg.Wait()
	return items
}

// decodeFor makes a visible item of a resource; nil where that is nil. One object that cannot be read must not take
// the whole cluster down: it is logged and left out.
func (c *Cache) decodeFor(r *Resource, key string, value []byte, rev store.Revision) *Item {
	if r == nil {
		return nil
	}
	obj, err := r.codec.decode(key, value)
	if err != nil {
		c.lacks.Store(true)
		if errors.Is(err, errSealed) && c.unopened.note(key) {
			return nil // told when the newest state is known
		}
		c.options.Logger.Error("a stored object cannot be read and is left out", "key", key, "revision", rev, "error", err)
		return nil
	}
	item := r.newItem(key, obj, len(value))
	item.commit(rev)
	c.remember(item)
	return item
}
