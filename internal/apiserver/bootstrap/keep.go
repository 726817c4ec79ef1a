package bootstrap

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// kept is an object of every cluster, and how an existing one is mended.
type kept struct {
	wanted api.Object
	fix    func(existing, wanted api.Object) api.Object
}

func keptAs(fix func(existing, wanted api.Object) api.Object, objects ...api.Object) []kept {
	var out []kept
	for _, obj := range objects {
		out = append(out, kept{obj, fix})
	}
	return out
}

// Keep puts the system namespaces, the kubernetes Service with its endpoints
// and the flow schemas and priority levels back whenever somebody deletes
// them, until ctx ends or the cache closes; the specs of the latter too, where
// they are not to change. Upstream keeps the same objects.
func Keep(ctx context.Context, c Config) error {
	all := slices.Concat(
		keptAs(keep, append(namespaces(), c.service(), c.recorded(), c.endpoints(), c.slice())...),
		keptAs(fixMandatory, mandatoryFlow()...), keptAs(fixSuggested, suggestedFlow()...),
	)
	byResource := map[*cache.Resource][]kept{}
	for _, k := range all {
		if kind := c.Kinds.TypeOf(k.wanted); kind != nil {
			if resource := c.Objects.Of(kind); resource != nil {
				byResource[resource] = append(byResource[resource], k)
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
func (c Config) keep(ctx context.Context, resource *cache.Resource, objects []kept) error {
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

func (c Config) keepWatching(ctx context.Context, watch *cache.Watch, objects []kept) error {
	for {
		for _, k := range objects {
			if err := c.ensure(ctx, k.wanted, k.fix); err != nil && ctx.Err() == nil {
				c.Logger.Error("an object of every cluster is missing and cannot be written", "error", err)
			}
		}
		if err := awaitDamage(ctx, watch, objects); err != nil {
			if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
				return nil
			}
			return err
		}
	}
}

// awaitDamage returns when one of the objects was deleted, or is no longer as
// it must be.
func awaitDamage(ctx context.Context, watch *cache.Watch, objects []kept) error {
	for {
		events, err := watch.Next(ctx)
		if err != nil {
			return err
		}
		for _, ev := range events {
			for _, k := range objects {
				if k.wanted.GetName() != ev.Item.Object.GetName() || k.wanted.GetNamespace() != ev.Item.Object.GetNamespace() {
					continue
				}
				if ev.Type == cache.Deleted || k.fix(ev.Item.Object, k.wanted) != nil {
					return nil
				}
			}
		}
	}
}
