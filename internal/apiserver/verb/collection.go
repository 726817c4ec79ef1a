package verb

import (
	"context"
	stderrors "errors"
	"net/http"

	"k8s.io/apimachinery/pkg/api/errors"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/listing"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// deleteCollection deletes what a list finds and answers with that list.
// Objects that go meanwhile by another hand are no failure.
func (h *Handler) deleteCollection(ctx context.Context, t *target) (Result, error) {
	if t.req.Subresource != "" {
		return Result{}, methodNotAllowed()
	}
	opts := t.req.DeleteOptions
	if errs := metavalidation.ValidateDeleteOptions(&opts); len(errs) > 0 {
		return Result{}, invalidOptions("DeleteOptions", errs)
	}
	warnOfOrphans(ctx, t.kind, &opts)
	q, err := listing.Parse(t.kind, t.req.Namespace, t.req.ListOptions, false)
	if err != nil {
		return Result{}, err
	}
	snap, err := h.stateOf(ctx, t.resource, q)
	if err != nil {
		return Result{}, err
	}
	if err := h.shapeList(ctx, t.kind, snap, q); err != nil {
		return Result{}, err
	}
	list := collect(snap, t.kind, q)
	for _, item := range list.Items {
		if err := h.deleteOne(ctx, t, item); err != nil {
			return Result{}, err
		}
	}
	return Result{Status: http.StatusOK, Kind: t.kind, List: list}, nil
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
