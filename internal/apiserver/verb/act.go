package verb

import (
	"context"
	"net/http"

	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
)

// act hands a request to the endpoint that answers it, after admission.
func (h *Handler) act(ctx context.Context, t *target, act endpoint.Act) (Result, error) {
	op, status := admission.Create, http.StatusCreated
	if t.req.Verb == request.Update {
		op, status = admission.Update, http.StatusOK
	} else if errs := metavalidation.ValidateCreateOptions(&t.req.CreateOptions); len(errs) > 0 {
		return Result{}, invalidOptions("CreateOptions", errs)
	}
	w := &write{target: t, user: userOf(ctx), dryRun: len(t.req.CreateOptions.DryRun)+len(t.req.UpdateOptions.DryRun) > 0}
	if obj, isObject := t.req.Object.(api.Object); isObject && t.kind.Namespaced {
		if err := t.placeInNamespace(obj); err != nil {
			return Result{}, err
		}
	}
	if err := h.ownReview(t); err != nil {
		return Result{}, err
	}
	a := h.attributes(ctx, w, op, t.req.Object, nil)
	if err := h.Admission.Mutate(ctx, a); err != nil {
		return Result{}, err
	}
	if err := h.Admission.Validate(ctx, a); err != nil {
		return Result{}, err
	}
	out, err := act(ctx, endpoint.Action{Request: t.req, User: w.user})
	if err != nil {
		return Result{}, err
	}
	return Result{Status: status, Kind: t.kind, Object: named(out, t)}, nil
}

// named makes sure that an answer says its kind.
func named(out runtime.Object, t *target) runtime.Object {
	if k := out.GetObjectKind(); k.GroupVersionKind().Empty() {
		k.SetGroupVersionKind(t.body)
	}
	return out
}

// ownReview notes who wrote what in an object that is answered and never
// stored, as in any other that is created.
func (h *Handler) ownReview(t *target) error {
	obj, isObject := t.req.Object.(api.Object)
	if !isObject || !t.kind.Virtual || t.req.Subresource != "" {
		return nil
	}
	fm, err := h.Managers.Of(t.kind, "")
	if err != nil {
		return err
	}
	wipe(obj)
	obj.GetObjectKind().SetGroupVersionKind(t.kind.GVK)
	empty := t.kind.New()
	empty.GetObjectKind().SetGroupVersionKind(t.kind.GVK)
	t.req.Object = fm.UpdateNoErrors(empty, obj, t.req.CreateOptions.FieldManager)
	return nil
}
