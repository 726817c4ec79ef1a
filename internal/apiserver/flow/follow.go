package flow

import (
	"context"
	"errors"
	"sync"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Follow keeps to the API's objects until ctx ends or the cache closes, and
// tells in the status of FlowSchemas whether their level is missing. As long as
// there are none the defaults are in use.
func (c *Controller) Follow(ctx context.Context, kinds *catalog.Catalog, objects *cache.Cache) error {
	of := func(resource string) *cache.Resource {
		if k := kinds.Resource(flowcontrolv1.SchemeGroupVersion.WithResource(resource)); k != nil {
			return objects.Of(k)
		}
		return nil
	}
	schemas, levels := of("flowschemas"), of("prioritylevelconfigurations")
	if schemas == nil || levels == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	reload := func() {
		mu.Lock() // the later of two sees what both came for
		defer mu.Unlock()
		s, l := all[*flowcontrolv1.FlowSchema](schemas), all[*flowcontrolv1.PriorityLevelConfiguration](levels)
		if len(s) > 0 && len(l) > 0 {
			c.Configure(s, l)
		}
		// Requests go on being sorted where the store takes no writes.
		if err := tellDangling(ctx, schemas, levels); err != nil && ctx.Err() == nil {
			c.options.Logger.Warn("a flow schema does not tell whether its level is missing", "error", err)
		}
	}
	ended := make(chan error, 2)
	for _, r := range []*cache.Resource{schemas, levels} {
		go func() { ended <- follow(ctx, r, reload) }()
	}
	err := <-ended
	cancel()
	return errors.Join(err, <-ended)
}

// follow calls changed now and after every change of a resource.
func follow(ctx context.Context, r *cache.Resource, changed func()) error {
	for {
		w, err := r.Watch(r.Snapshot().Revision())
		if err != nil {
			return ignoreEnd(ctx, err)
		}
		changed()
		for err == nil {
			if _, err = w.Next(ctx); err == nil {
				changed()
			}
		}
		w.Stop()
		if !errors.Is(err, store.ErrTooOld) {
			return ignoreEnd(ctx, err)
		}
	}
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
		return nil
	}
	return err
}

func all[T api.Object](r *cache.Resource) []T {
	var out []T
	r.Snapshot().Ascend("", "", "", func(item *cache.Item) bool {
		if obj, ok := item.Object.(T); ok {
			out = append(out, obj)
		}
		return true
	})
	return out
}
