package verb

import (
	"context"

	"github.com/knarr-io/knarr/internal/api"
)

// Hook takes part in the writes of one kind, for what no pure rule can do:
// handing out addresses and ports. It is called after validation. obj may be
// changed; old is shared and immutable.
type Hook interface {
	// BeginCreate prepares a new object. finish is called once with what
	// became of the write; it is nil together with an error.
	BeginCreate(ctx context.Context, obj api.Object, dryRun bool) (finish func(stored bool), err error)
	// BeginUpdate prepares a change.
	BeginUpdate(ctx context.Context, obj, old api.Object, dryRun bool) (finish func(stored bool), err error)
	// AfterDelete is told of an object that is gone.
	AfterDelete(obj api.Object)
}

func finished(bool) {}

func (h *Handler) beginCreate(ctx context.Context, t *target, obj api.Object, dryRun bool) (func(bool), error) {
	if hook := h.Hooks[t.kind]; hook != nil {
		return hook.BeginCreate(ctx, obj, dryRun)
	}
	return finished, nil
}

func (h *Handler) beginUpdate(ctx context.Context, t *target, obj, old api.Object, dryRun bool) (func(bool), error) {
	if hook := h.Hooks[t.kind]; hook != nil {
		return hook.BeginUpdate(ctx, obj, old, dryRun)
	}
	return finished, nil
}

func (h *Handler) afterDelete(t *target, obj api.Object) {
	if hook := h.Hooks[t.kind]; hook != nil {
		hook.AfterDelete(obj)
	}
}
