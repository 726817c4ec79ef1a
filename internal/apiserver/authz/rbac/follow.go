package rbac

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Run follows the bindings until ctx ends or the cache closes.
func (x *Index) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, f := range x.followers {
		group.Go(func() error { return f.run(ctx) })
	}
	return group.Wait()
}

// follower carries the bindings of one kind into the index.
type follower struct {
	resource *cache.Resource
	bindings *bindings
	logger   *slog.Logger
	watch    *cache.Watch
	// known is what is in the index, so that a reload finds what is gone.
	known map[string]api.Object
}

// load brings the index to the newest state, and the watch behind it.
func (f *follower) load() error {
	snapshot := f.resource.Snapshot()
	watch, err := f.resource.Watch(snapshot.Revision())
	if err != nil {
		return fmt.Errorf("follow %s: %w", f.resource.Kind().Resource, err)
	}
	gone := f.known
	f.watch, f.known = watch, make(map[string]api.Object, snapshot.Len())
	snapshot.Ascend("", "", "", func(item *cache.Item) bool {
		f.bindings.replace(gone[item.Key()], item.Object)
		f.known[item.Key()] = item.Object
		delete(gone, item.Key())
		return true
	})
	for _, obj := range gone {
		f.bindings.replace(obj, nil)
	}
	return nil
}

func (f *follower) run(ctx context.Context) error {
	defer func() { f.watch.Stop() }()
	for {
		events, err := f.watch.Next(ctx)
		switch {
		case errors.Is(err, store.ErrTooOld):
			f.logger.Warn("the watch of bindings fell behind, reading all of them again", "resource", f.resource.Kind().Resource)
			if err := f.load(); err != nil {
				return err
			}
		case ctx.Err() != nil || errors.Is(err, store.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("follow %s: %w", f.resource.Kind().Resource, err)
		}
		for _, ev := range events {
			f.apply(ev)
		}
	}
}

func (f *follower) apply(ev cache.Event) {
	key := ev.Item.Key()
	if ev.Type == cache.Deleted {
		f.bindings.replace(f.known[key], nil)
		delete(f.known, key)
		return
	}
	f.bindings.replace(f.known[key], ev.Item.Object)
	f.known[key] = ev.Item.Object
}
