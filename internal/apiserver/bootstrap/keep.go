package bootstrap

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Keep puts the system namespaces and the kubernetes Service with its
// endpoints back whenever somebody deletes them, until ctx ends or the cache
// closes. Upstream keeps the same objects.
func Keep(ctx context.Context, c Config) error {
	byResource := map[*cache.Resource][]api.Object{}
	for _, obj := range append(namespaces(), c.service(), c.endpoints(), c.slice()) {
		if kind := c.Kinds.TypeOf(obj); kind != nil {
			if resource := c.Objects.Of(kind); resource != nil {
				byResource[resource] = append(byResource[resource], obj)
			}
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for resource, objects := range byResource {
		group.Go(func() error { return c.keep(ctx, resource, objects) })
	}
	return group.Wait()
}

// keep writes what is missing, then again after every deletion.
func (c Config) keep(ctx context.Context, resource *cache.Resource, objects []api.Object) error {
	for {
		watch, err := resource.Watch(resource.Snapshot().Revision())
		if errors.Is(err, store.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		err = c.keepWatching(ctx, watch, objects)
		watch.Stop()
		if !errors.Is(err, store.ErrTooOld) {
			return err
		}
	}
}

func (c Config) keepWatching(ctx context.Context, watch *cache.Watch, objects []api.Object) error {
	for {
		for _, obj := range objects {
			if err := c.ensure(ctx, obj, keep); err != nil && ctx.Err() == nil {
				c.Logger.Error("an object of every cluster is missing and cannot be written", "err", err)
			}
		}
		if err := awaitDeletion(ctx, watch, objects); err != nil {
			if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
				return nil
			}
			return err
		}
	}
}

// awaitDeletion returns when one of the objects was deleted.
func awaitDeletion(ctx context.Context, watch *cache.Watch, objects []api.Object) error {
	for {
		events, err := watch.Next(ctx)
		if err != nil {
			return err
		}
		for _, ev := range events {
			if ev.Type != cache.Deleted {
				continue
			}
			for _, obj := range objects {
				if obj.GetName() == ev.Item.Object.GetName() && obj.GetNamespace() == ev.Item.Object.GetNamespace() {
					return nil
				}
			}
		}
	}
}
