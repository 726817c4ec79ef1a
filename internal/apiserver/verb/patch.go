package verb

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/errors"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/codec"
	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/apiserver/patch"
	"github.com/knarr-io/knarr/internal/store/cache"
)

func (h *Handler) patch(ctx context.Context, t *target) (Result, error) {
	if t.rules == nil {
		return Result{}, MethodNotAllowed()
	}
	opts := t.req.PatchOptions
	if errs := metavalidation.ValidatePatchOptions(&opts, t.req.PatchType); len(errs) > 0 {
		return Result{}, invalidOptions("PatchOptions", errs)
	}
	w := &write{target: t, user: userOf(ctx), dryRun: len(opts.DryRun) > 0, manager: opts.FieldManager}
	c := change{write: w, tries: limits.PatchTries}
	if t.req.PatchType == types.ApplyPatchType {
		return h.apply(ctx, c)
	}
	fm, err := h.Managers.Of(t.kind, t.req.Subresource)
	if err != nil {
		return Result{}, err
	}
	warned := false
	c.make = func(ctx context.Context, old *cache.Item) (api.Object, error) {
		live := t.shown(old)
		next, loose, err := h.patched(t.kind.GVK, live, t.req)
		if err != nil {
			return nil, err
		}
		if !warned {
			warned = true
			for _, finding := range loose {
				Warn(ctx, finding.Error())
			}
		}
		if next.GetName() != live.GetName() {
			// The store would keep it under its old name: say so instead.
			if err := t.matchURL(next); err != nil {
				return nil, err
			}
		}
		t.name(next)
		return fm.UpdateNoErrors(live, next, w.manager).(api.Object), nil
	}
	return h.change(ctx, c)
}

// patched applies the request's patch to an object and reads the result.
func (h *Handler) patched(gvk schema.GroupVersionKind, live api.Object, req *request.Request) (api.Object, []error, error) {
	live.GetObjectKind().SetGroupVersionKind(gvk)
	doc, err := codec.Plain(live)
	if err != nil {
		return nil, nil, errors.NewInternalError(err)
	}
	out, loose, err := patch.Apply(req.PatchType, doc, req.Body, live)
	if err != nil {
		return nil, nil, err
	}
	validation := req.PatchOptions.FieldValidation
	d, err := h.Codec.Decode(out, codec.JSON, gvk, validation != ignoreFields)
	if err != nil {
		return nil, nil, unreadable(out, err)
	}
	findings := append([]error(loose), d.Loose...)
	if validation == strictFields && len(findings) > 0 {
		return nil, nil, unreadable(out, errors.NewBadRequest(codec.StrictText(findings)))
	}
	if validation == ignoreFields {
		findings = nil
	}
	h.Codec.Default(d.Object)
	return d.Object.(api.Object), findings, nil
}

func unreadable(out []byte, err error) error {
	return errors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{
		field.Invalid(field.NewPath("patch"), string(out), fmt.Sprint(err)),
	})
}
