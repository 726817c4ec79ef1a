package verb

import (
	"context"
	stderrors "errors"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

func (h *Handler) delete(ctx context.Context, t *target) (Result, error) {
	if err := checkDeletion(ctx, t); err != nil {
		return Result{}, err
	}
	opts := t.req.DeleteOptions
	w := &write{target: t, user: userOf(ctx), dryRun: len(opts.DryRun) > 0}
	for {
		item, found := t.lookup()
		if w.ended(item) {
			return w.deleted(w.ending, w.ending.Object), nil
		}
		if !found {
			return Result{}, t.notFound()
		}
		res, err := h.deleteItem(ctx, w, item, &opts)
		if !stderrors.Is(err, store.ErrConflict) {
			return res, err
		}
		if ctx.Err() != nil {
			return Result{}, ctx.Err()
		}
	}
}

// checkDeletion refuses what cannot be deleted, and options that make no sense.
func checkDeletion(ctx context.Context, t *target) error {
	if t.req.Subresource != "" {
		return MethodNotAllowed()
	}
	opts := &t.req.DeleteOptions
	if errs := metavalidation.ValidateDeleteOptions(opts); len(errs) > 0 {
		return invalidOptions("DeleteOptions", errs)
	}
	warnOfOrphans(ctx, t.kind, opts)
	return nil
}

// warnOfOrphans tells who deletes jobs without saying what becomes of their
// pods that these stay.
func warnOfOrphans(ctx context.Context, k *api.Kind, opts *metav1.DeleteOptions) {
	if k.GVK.Group == "batch" && k.Resource == "jobs" && opts.PropagationPolicy == nil && opts.OrphanDependents == nil {
		Warn(ctx, "child pods are preserved by default when jobs are deleted; "+
			"set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning")
	}
}

// deleteItem deletes an object as it stands in item. It fails with
// store.ErrConflict when the object has changed since.
func (h *Handler) deleteItem(ctx context.Context, w *write, item *cache.Item, opts *metav1.DeleteOptions) (Result, error) {
	if err := h.shape(ctx, w.kind, item); err != nil {
		return Result{}, err
	}
	shown := View(w.kind, item)
	if err := checkPreconditions(w.target, shown, opts.Preconditions); err != nil {
		return Result{}, err
	}
	a := h.attributes(ctx, w, admission.Delete, nil, shown)
	if err := h.Admission.Mutate(ctx, a); err != nil {
		return Result{}, err
	}
	if err := h.Admission.Validate(ctx, a); err != nil {
		return Result{}, err
	}
	plan := planDeletion(w.kind, item.Object, opts, h.Now())
	switch {
	case plan.nothing:
		return h.ok(ctx, w.kind, item)
	case w.dryRun && plan.object == nil:
		return w.deleted(item, item.Object), nil
	case w.dryRun && plan.thenRemove:
		return w.deleted(item, plan.object), nil
	case w.dryRun:
		obj, err := convertOne(ctx, w.kind, plan.object)
		return Result{Status: http.StatusOK, Kind: w.kind, Object: obj}, err
	case plan.object == nil:
		return h.remove(ctx, w, item)
	}
	updated, err := w.resource.Update(ctx, item, plan.object)
	if err != nil {
		return Result{}, storeError(err, w.kind, shown.GetName())
	}
	if plan.thenRemove {
		w.ending = updated
		return h.remove(ctx, w, updated)
	}
	res, err := h.ok(ctx, w.kind, updated)
	if opts.OrphanDependents != nil && !*opts.OrphanDependents {
		res.Status = http.StatusAccepted
	}
	return res, err
}

// ended tells whether the object that this deletion has set to go is gone; now
// is what there is under its name, nil for nothing.
func (w *write) ended(now *cache.Item) bool {
	return w.ending != nil && (now == nil || now.Object.GetUID() != w.ending.Object.GetUID())
}

// remove takes an object out of the store.
func (h *Handler) remove(ctx context.Context, w *write, item *cache.Item) (Result, error) {
	gone, err := w.resource.Delete(ctx, item)
	if err != nil {
		return Result{}, storeError(err, w.kind, item.Object.GetName())
	}
	h.afterDelete(w.target, gone.Object)
	return w.deleted(gone, item.Object), nil
}

// deleted answers a deletion that was carried out: with the last object for
// the kinds whose clients expect it, with a Status for the others.
func (t *target) deleted(gone *cache.Item, last api.Object) Result {
	if returnsDeleted(t.kind) {
		obj := cache.ShallowCopy(last)
		if t.kind.View != nil {
			obj = t.kind.View.FromStored(obj)
			obj.GetObjectKind().SetGroupVersionKind(t.kind.GVK)
		}
		obj.SetResourceVersion(gone.Object.GetResourceVersion())
		return Result{Status: http.StatusOK, Kind: t.kind, Object: obj}
	}
	return Result{Status: http.StatusOK, Object: &metav1.Status{
		Status: metav1.StatusSuccess,
		Details: &metav1.StatusDetails{
			Name: last.GetName(), Group: t.kind.GVK.Group, Kind: t.kind.Resource, UID: last.GetUID(),
		},
	}}
}

// returnsDeleted tells whether a deletion answers with the object.
func returnsDeleted(k *api.Kind) bool {
	switch k.GVK.Group {
	case "":
		switch k.Resource {
		case "namespaces", "persistentvolumeclaims", "persistentvolumes", "pods", "podtemplates", "resourcequotas",
			"serviceaccounts", "services", "nodes":
			return k.Resource != "nodes"
		}
	case "storage.k8s.io":
		return k.Resource != "csistoragecapacities"
	case "resource.k8s.io":
		return true
	}
	return false
}

func checkPreconditions(t *target, obj api.Object, p *metav1.Preconditions) error {
	if p == nil {
		return nil
	}
	if p.UID != nil && *p.UID != obj.GetUID() {
		return errors.NewConflict(t.groupKind(), obj.GetName(), fmt.Errorf("the UID in the precondition (%s) does not match the UID in record (%s). "+
			"The object might have been deleted and then recreated", *p.UID, obj.GetUID()))
	}
	if p.ResourceVersion != nil && *p.ResourceVersion != obj.GetResourceVersion() {
		return errors.NewConflict(t.groupKind(), obj.GetName(), fmt.Errorf("the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s). "+
			"The object might have been modified", *p.ResourceVersion, obj.GetResourceVersion()))
	}
	return nil
}
