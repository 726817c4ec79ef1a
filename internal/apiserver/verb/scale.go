package verb

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// doScale answers the scale subresource: the parent shown, and written, as an
// autoscaling/v1 Scale.
func (h *Handler) doScale(ctx context.Context, t *target) (Result, error) {
	t.rules = &t.kind.Main
	switch t.req.Verb {
	case request.Get:
		item, found := t.lookup()
		if !found {
			return Result{}, t.notFound()
		}
		if err := h.shape(ctx, t.kind, item); err != nil {
			return Result{}, err
		}
		parent := View(t.kind, item)
		if !t.hasReplicas(parent) {
			return Result{}, errors.NewInternalError(fmt.Errorf("the spec replicas field %q does not exist", t.replicasText()))
		}
		return t.scaleResult(http.StatusOK, parent), nil
	case request.Update:
		return h.updateScale(ctx, t)
	case request.Patch:
		return h.patchScale(ctx, t)
	}
	return Result{}, MethodNotAllowed()
}

func (h *Handler) updateScale(ctx context.Context, t *target) (Result, error) {
	opts := t.req.UpdateOptions
	if errs := metavalidation.ValidateUpdateOptions(&opts); len(errs) > 0 {
		return Result{}, invalidOptions("UpdateOptions", errs)
	}
	sent, isScale := t.req.Object.(*autoscalingv1.Scale)
	if !isScale {
		return Result{}, wrongBody("Scale", t.req.Object)
	}
	if err := t.matchURL(sent); err != nil {
		return Result{}, err
	}
	w := &write{target: t, user: userOf(ctx), dryRun: len(opts.DryRun) > 0, manager: opts.FieldManager}
	return h.changeScale(ctx, change{write: w, sent: sent}, func(live *autoscalingv1.Scale, fm *managedfields.FieldManager) (runtime.Object, error) {
		return fm.UpdateNoErrors(live, sent.DeepCopy(), w.manager), nil
	})
}

func (h *Handler) patchScale(ctx context.Context, t *target) (Result, error) {
	opts := t.req.PatchOptions
	if errs := metavalidation.ValidatePatchOptions(&opts, t.req.PatchType); len(errs) > 0 {
		return Result{}, invalidOptions("PatchOptions", errs)
	}
	w := &write{target: t, user: userOf(ctx), dryRun: len(opts.DryRun) > 0, manager: opts.FieldManager}
	c := change{write: w, tries: limits.PatchTries}
	if t.req.PatchType == types.ApplyPatchType {
		applied, err := readApplied(t.req.Body, opts.FieldValidation)
		if err != nil {
			return Result{}, err
		}
		force := opts.Force != nil && *opts.Force
		return h.changeScale(ctx, c, func(live *autoscalingv1.Scale, fm *managedfields.FieldManager) (runtime.Object, error) {
			return fm.Apply(live, applied, w.manager, force)
		})
	}
	return h.changeScale(ctx, c, func(live *autoscalingv1.Scale, fm *managedfields.FieldManager) (runtime.Object, error) {
		next, loose, err := h.patched(t.body, live, t.req)
		if err != nil {
			return nil, err
		}
		for _, finding := range loose {
			Warn(ctx, finding.Error())
		}
		next.GetObjectKind().SetGroupVersionKind(t.body)
		return fm.UpdateNoErrors(live, next, w.manager), nil
	})
}

// changeScale writes a parent through its scale. merge makes the wanted scale
// out of the present one and keeps its managed fields.
func (h *Handler) changeScale(ctx context.Context, c change, merge func(*autoscalingv1.Scale, *managedfields.FieldManager) (runtime.Object, error)) (Result, error) {
	fm, err := h.Managers.OfScale(c.body)
	if err != nil {
		return Result{}, err
	}
	c.make = func(_ context.Context, old *cache.Item) (api.Object, error) {
		return c.scaled(old, fm, merge)
	}
	res, err := h.change(ctx, c)
	if err != nil {
		return Result{}, err
	}
	return c.scaleResult(res.Status, res.Value().(api.Object)), nil
}

func (c *change) scaled(old *cache.Item, fm *managedfields.FieldManager, merge func(*autoscalingv1.Scale, *managedfields.FieldManager) (runtime.Object, error)) (api.Object, error) {
	parent := c.shown(old)
	entries := managedfields.NewScaleHandler(parent.GetManagedFields(), c.kind.GVK.GroupVersion(),
		managedfields.ResourcePathMappings{c.kind.GVK.GroupVersion().String(): replicasPath(c.scale)})
	live := c.scaleOf(parent)
	if !c.hasReplicas(parent) {
		live.Spec.Replicas = noReplicas
	}
	owned, err := entries.ToSubresource()
	if err != nil {
		return nil, err
	}
	live.SetManagedFields(owned)
	merged, err := merge(live, fm)
	if err != nil {
		return nil, err
	}
	next, isScale := merged.(*autoscalingv1.Scale)
	if !isScale {
		return nil, wrongBody("Scale", merged)
	}
	if err := c.matchURL(next); err != nil {
		return nil, err
	}
	if next.Spec.Replicas == noReplicas {
		return nil, errors.NewBadRequest(fmt.Sprintf("the spec replicas field %q cannot be empty", c.replicasText()))
	}
	if next.Spec.Replicas < 0 {
		return nil, invalid(c.body.GroupKind(), next.Name, field.ErrorList{field.Invalid(field.NewPath("spec", "replicas"),
			next.Spec.Replicas, "must be greater than or equal to 0").WithOrigin("minimum")})
	}
	c.scale.Set(parent, next.Spec.Replicas)
	parent.SetResourceVersion(next.ResourceVersion)
	if next.UID != "" {
		parent.SetUID(next.UID)
	}
	back, err := entries.ToParent(next.ManagedFields)
	if err != nil {
		return nil, err
	}
	parent.SetManagedFields(back)
	return parent, nil
}

// noReplicas stands for replicas that the parent does not hold.
const noReplicas = math.MinInt32

func (t *target) hasReplicas(parent api.Object) bool {
	return t.scale.Has == nil || t.scale.Has(parent)
}

// replicasText is the path of the desired replicas as a definition writes it.
func (t *target) replicasText() string { return "." + strings.Join(t.scale.ReplicasPath, ".") }

func replicasPath(s *api.ScaleOf) fieldpath.Path {
	parts := s.ReplicasPath
	if len(parts) == 0 {
		parts = []string{"spec", "replicas"}
	}
	path := make(fieldpath.Path, len(parts))
	for i := range parts {
		path[i] = fieldpath.PathElement{FieldName: &parts[i]}
	}
	return path
}

func (t *target) scaleResult(status int, parent api.Object) Result {
	return Result{Status: status, Kind: t.kind, Object: t.scaleOf(parent)}
}

func (t *target) scaleOf(parent api.Object) *autoscalingv1.Scale {
	spec, status, selector := t.scale.Get(parent)
	out := &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{
			Name: parent.GetName(), Namespace: parent.GetNamespace(), UID: parent.GetUID(),
			ResourceVersion: parent.GetResourceVersion(), CreationTimestamp: parent.GetCreationTimestamp(),
		},
		Spec:   autoscalingv1.ScaleSpec{Replicas: spec},
		Status: autoscalingv1.ScaleStatus{Replicas: status, Selector: selector},
	}
	out.SetGroupVersionKind(t.body)
	return out
}
