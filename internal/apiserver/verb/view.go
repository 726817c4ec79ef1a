package verb

import (
	"context"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/listing"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// View shows a stored object as the kind asked for. Where that takes a webhook
// the handler has seen to it before (Handler.shape).
func View(k *api.Kind, item *cache.Item) api.Object {
	if form := item.Form(k); form != nil {
		return form
	}
	if k.View == nil {
		return item.Object
	}
	return fromStored(k, item.Object)
}

// fromStored is a pure view. It may be the object itself, which is shared.
func fromStored(k *api.Kind, obj api.Object) api.Object {
	out := k.View.FromStored(obj)
	if k.Custom == nil {
		out.GetObjectKind().SetGroupVersionKind(k.GVK)
	}
	return out
}

// shapeBatch is how many objects are converted by one call of a webhook.
const shapeBatch = 500

// shape makes sure that View can show the items: it converts those whose
// conversion takes a webhook. It blocks until ctx ends at the latest.
func (h *Handler) shape(ctx context.Context, k *api.Kind, items ...*cache.Item) error {
	if k.Custom == nil || k.Custom.Convert == nil {
		return nil
	}
	version := k.GVK.GroupVersion()
	var missing []*cache.Item
	for _, item := range items {
		if item != nil && item.Object.GetObjectKind().GroupVersionKind().GroupVersion() != version && item.Form(k) == nil {
			missing = append(missing, item)
		}
	}
	for len(missing) > 0 {
		n := min(len(missing), shapeBatch)
		if err := convertItems(ctx, k, missing[:n]); err != nil {
			return err
		}
		missing = missing[n:]
	}
	return nil
}

func convertItems(ctx context.Context, k *api.Kind, items []*cache.Item) error {
	objects := make([]api.Object, len(items))
	for i, item := range items {
		objects[i] = item.Object
	}
	out, err := k.Custom.Convert(ctx, objects)
	if err != nil {
		return err
	}
	for i, item := range items {
		item.SetForm(k, out[i])
	}
	return nil
}

// shapeList is shape for what a list looks at.
func (h *Handler) shapeList(ctx context.Context, k *api.Kind, snap cache.Snapshot, q listing.Query) error {
	if k.Custom == nil || k.Custom.Convert == nil {
		return nil
	}
	var items []*cache.Item
	snap.Ascend(q.Selector.Namespace, q.AfterNamespace, q.AfterName, func(item *cache.Item) bool {
		items = append(items, item)
		return q.Limit == 0 || !q.Selector.Everything() || int64(len(items)) < q.Limit
	})
	return h.shape(ctx, k, items...)
}

// stored gives an object of the kind asked for in the form in which it is
// stored.
func (h *Handler) stored(ctx context.Context, t *target, obj api.Object) (api.Object, error) {
	of := t.kind.Stored()
	if of.Custom != nil && of.Custom.Convert != nil {
		out, err := of.Custom.Convert(ctx, []api.Object{obj})
		if err != nil {
			return nil, err
		}
		return out[0], nil
	}
	if t.kind.View == nil {
		return obj, nil
	}
	out := t.kind.View.ToStored(obj)
	out.GetObjectKind().SetGroupVersionKind(of.GVK)
	return out, nil
}

// convertOne shows an object that is not in the cache, but in its stored form.
func convertOne(ctx context.Context, k *api.Kind, obj api.Object) (api.Object, error) {
	if k.Custom != nil && k.Custom.Convert != nil {
		out, err := k.Custom.Convert(ctx, []api.Object{obj})
		if err != nil {
			return nil, err
		}
		return out[0], nil
	}
	if k.View == nil {
		return obj, nil
	}
	return fromStored(k, obj), nil
}
