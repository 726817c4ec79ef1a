package verb

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/errors"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store/cache"
)

func (h *Handler) update(ctx context.Context, t *target) (Result, error) {
	if t.rules == nil {
		return Result{}, MethodNotAllowed()
	}
	opts := t.req.UpdateOptions
	if errs := metavalidation.ValidateUpdateOptions(&opts); len(errs) > 0 {
		return Result{}, invalidOptions("UpdateOptions", errs)
	}
	obj, isObject := t.req.Object.(api.Object)
	if !isObject {
		return Result{}, wrongBody(t.kind.GVK.Kind, t.req.Object)
	}
	if err := t.matchURL(obj); err != nil {
		return Result{}, err
	}
	t.name(obj)
	fm, err := h.Managers.Of(t.kind, t.req.Subresource)
	if err != nil {
		return Result{}, err
	}
	w := &write{target: t, user: userOf(ctx), dryRun: len(opts.DryRun) > 0, manager: opts.FieldManager}
	c := change{write: w, createMissing: t.kind.CreateOnUpdate && t.req.Subresource == "", sent: obj}
	c.make = func(_ context.Context, old *cache.Item) (api.Object, error) {
		next := obj.DeepCopyObject().(api.Object)
		if old == nil {
			empty := t.kind.New()
			empty.GetObjectKind().SetGroupVersionKind(t.kind.GVK)
			return fm.UpdateNoErrors(empty, next, w.manager).(api.Object), nil
		}
		return fm.UpdateNoErrors(t.shown(old), next, w.manager).(api.Object), nil
	}
	return h.change(ctx, c)
}

// matchURL checks that a body names the object that the URL names, and fills
// in what it leaves out.
func (t *target) matchURL(obj api.Object) error {
	switch {
	case obj.GetName() == "":
		return errors.NewBadRequest(fmt.Sprintf("the name of the object (%s based on URL) was undeterminable: name must be provided", t.req.Name))
	case obj.GetName() != t.req.Name:
		return errors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", obj.GetName(), t.req.Name))
	}
	return t.placeInNamespace(obj)
}
