package verb

import (
	"context"
	stderrors "errors"

	"k8s.io/apimachinery/pkg/api/errors"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// deleteCollection deletes what a list finds and answers with that list.
// Objects that go meanwhile by another hand are no failure.
func (h *Handler) deleteCollection(ctx context.Context, t *target) (Result, error) {
	if err := checkDeletion(ctx, t); err != nil {
		return Result{}, err
	}
	found, err := h.list(ctx, t)
	if err != nil {
		return Result{}, err
	}
	for _, item := range found.List.Items {
		if err := h.deleteOne(ctx, t, item); err != nil {
			return Result{}, err
		}
	}
	return found, nil
}

func (h *Handler) deleteOne(ctx context.Context, t *target, item *cache.Item) error {
	req := *t.req
	req.Verb, req.Namespace, req.Name = request.Delete, item.Object.GetNamespace(), item.Object.GetName()
	one := *t
	one.req = &req
	opts := req.DeleteOptions
	w := &write{target: &one, user: userOf(ctx), dryRun: len(opts.DryRun) > 0}
	for {
		_, err := h.deleteItem(ctx, w, item, &opts)
		if !stderrors.Is(err, store.ErrConflict) {
			if errors.IsNotFound(err) {
				return nil
			}
			return err
		}
		var found bool
		if item, found = one.lookup(); !found {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
