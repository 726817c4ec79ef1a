package verb

import (
	"context"
	stderrors "errors"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/validate"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

func (h *Handler) create(ctx context.Context, t *target) (Result, error) {
	if t.req.Subresource != "" {
		return Result{}, MethodNotAllowed()
	}
	opts := t.req.CreateOptions
	if errs := metavalidation.ValidateCreateOptions(&opts); len(errs) > 0 {
		return Result{}, invalidOptions("CreateOptions", errs)
	}
	obj, isObject := t.req.Object.(api.Object)
	if !isObject {
		return Result{}, wrongBody(t.kind.GVK.Kind, t.req.Object)
	}
	if err := t.placeInNamespace(obj); err != nil {
		return Result{}, err
	}
	w := &write{target: t, user: userOf(ctx), dryRun: len(opts.DryRun) > 0, manager: opts.FieldManager}
	t.name(obj)
	fm, err := h.Managers.Of(t.kind, "")
	if err != nil {
		return Result{}, err
	}
	wipe(obj)
	empty := t.kind.New()
	empty.GetObjectKind().SetGroupVersionKind(t.kind.GVK)
	obj = fm.UpdateNoErrors(empty, obj, w.manager).(api.Object)
	return h.insert(ctx, w, obj)
}

// placeInNamespace checks that the object and the URL name one namespace.
func (t *target) placeInNamespace(obj api.Object) error {
	switch {
	case !t.kind.Namespaced:
		obj.SetNamespace("")
	case obj.GetNamespace() == "":
		obj.SetNamespace(t.req.Namespace)
	case obj.GetNamespace() != t.req.Namespace:
		return errors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	return nil
}

// insert stores a new object, under another name as long as a generated one
// is taken.
func (h *Handler) insert(ctx context.Context, w *write, obj api.Object) (Result, error) {
	generated := obj.GetName() == "" && obj.GetGenerateName() != ""
	if !generated {
		return h.insertOnce(ctx, w, obj, generated)
	}
	var err error
	for range limits.NameTries {
		var res Result
		res, err = h.insertOnce(ctx, w, obj.DeepCopyObject().(api.Object), generated)
		if !errors.IsAlreadyExists(err) {
			return res, err
		}
	}
	return Result{}, err
}

func (h *Handler) insertOnce(ctx context.Context, w *write, obj api.Object, generated bool) (Result, error) {
	t := w.target
	if err := t.terminating(obj); err != nil {
		return Result{}, err
	}
	a := h.attributes(ctx, w, admission.Create, obj, nil)
	defer a.Settle()
	if err := h.Admission.Mutate(ctx, a); err != nil {
		return Result{}, err
	}
	if err := t.placeInNamespace(obj); err != nil {
		return Result{}, err // a plugin moved it
	}
	dedupOwners(ctx, obj)
	if generated && obj.GetName() == "" {
		obj.SetName(h.generate(obj.GetGenerateName()))
	}
	h.fillNew(t, obj)
	if t.kind.Main.Stamp != nil {
		t.kind.Main.Stamp(obj, nil, api.Stamp{Now: obj.GetCreationTimestamp(), User: w.user, Warn: warner(ctx)})
	}
	if err := h.validated(ctx, t, obj, nil, func() field.ErrorList { return validate.Create(t.kind, obj) }); err != nil {
		return Result{}, err
	}
	if t.kind.Main.Warn != nil {
		warnAll(ctx, t.kind.Main.Warn(obj, nil))
	}
	a.Name = obj.GetName()
	finish, err := h.begin(ctx, t, obj, nil, w.dryRun)
	if err != nil {
		return Result{}, err
	}
	if err := h.Admission.Validate(ctx, a); err != nil {
		finish(false)
		return Result{}, err
	}
	item, err := h.storeNew(ctx, w, obj)
	finish(err == nil && !w.dryRun)
	if err != nil {
		if generated && errors.IsAlreadyExists(err) {
			return Result{}, errors.NewGenerateNameConflict(t.groupResource(), obj.GetName(), 1)
		}
		return Result{}, err
	}
	if item == nil {
		return Result{Status: http.StatusCreated, Kind: t.kind, Object: obj}, nil
	}
	return Result{Status: http.StatusCreated, Kind: t.kind, Item: item}, h.shape(ctx, t.kind, item)
}

// terminating refuses a new custom resource whose definition is being deleted.
func (t *target) terminating(obj api.Object) error {
	if t.kind.Custom == nil || !t.kind.Custom.Terminating() {
		return nil
	}
	return errors.NewForbidden(t.groupResource(), obj.GetName(),
		stderrors.New("create not allowed while custom resource definition is terminating"))
}

// storeNew writes a new object; for a dry run it only looks whether the name
// is free, and returns no item.
func (h *Handler) storeNew(ctx context.Context, w *write, obj api.Object) (*cache.Item, error) {
	t := w.target
	if rv := obj.GetResourceVersion(); rv != "" && rv != "0" {
		return nil, plainError(stderrors.New("resourceVersion should not be set on objects to be created"))
	}
	exists := func() error { return errors.NewAlreadyExists(t.groupResource(), obj.GetName()) }
	if w.dryRun {
		if _, taken := t.resource.Get(obj.GetNamespace(), obj.GetName()); taken {
			return nil, exists()
		}
		return nil, nil
	}
	kept, err := h.stored(ctx, t, obj)
	if err != nil {
		return nil, err
	}
	// Webhooks may have taken their time since it was first asked: what comes
	// behind the last object of its definition would stay for ever.
	if err := t.terminating(obj); err != nil {
		return nil, err
	}
	item, err := t.resource.Create(ctx, kept)
	if stderrors.Is(err, store.ErrConflict) {
		return nil, exists()
	}
	return item, storeError(err, t.kind, obj.GetName())
}

// fillNew sets what the server owns in a new object's metadata.
func (h *Handler) fillNew(t *target, obj api.Object) {
	wipe(obj)
	obj.SetCreationTimestamp(metav1.Time{Time: h.Now().UTC().Truncate(1e9)})
	obj.SetUID(h.NewUID())
	if t.kind.Main.PrepareCreate != nil {
		t.kind.Main.PrepareCreate(obj)
	}
	if t.kind.Main.Generation != nil {
		obj.SetGeneration(1)
	}
	stampConditions(obj, obj.GetCreationTimestamp())
}

// wipe clears what only the server sets.
func wipe(obj api.Object) {
	obj.SetDeletionTimestamp(nil)
	obj.SetDeletionGracePeriodSeconds(nil)
	obj.SetCreationTimestamp(metav1.Time{})
	obj.SetUID("")
	obj.SetSelfLink("")
}

// stampConditions gives a new pod's conditions the time that the kind's pure
// rules cannot know.
func stampConditions(obj api.Object, now metav1.Time) {
	pod, isPod := obj.(*corev1.Pod)
	if !isPod {
		return
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.LastTransitionTime.IsZero() {
			c.LastTransitionTime = now
		}
	}
}

func warner(ctx context.Context) func(string) {
	return func(text string) { Warn(ctx, text) }
}

func warnAll(ctx context.Context, texts []string) {
	for _, text := range texts {
		Warn(ctx, text)
	}
}

// dedupOwners drops repeated owner references, as the API has done since
// their uids must be unique.
func dedupOwners(ctx context.Context, obj api.Object) {
	owners := obj.GetOwnerReferences()
	if len(owners) < 2 {
		return
	}
	seen := make(map[metav1.OwnerReference]bool, len(owners))
	var kept []metav1.OwnerReference
	for _, o := range owners {
		at := o
		at.Controller, at.BlockOwnerDeletion = nil, nil
		if seen[at] && sameOwner(kept, o) {
			Warn(ctx, fmt.Sprintf("%s contains duplicate owner entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: [%s]", ".metadata.ownerReferences", o.UID))
			continue
		}
		seen[at] = true
		kept = append(kept, o)
	}
	if len(kept) < len(owners) {
		obj.SetOwnerReferences(kept)
	}
}

func sameOwner(kept []metav1.OwnerReference, o metav1.OwnerReference) bool {
	for _, k := range kept {
		if k.UID == o.UID && k.Name == o.Name && k.Kind == o.Kind && k.APIVersion == o.APIVersion &&
			flag(k.Controller) == flag(o.Controller) && flag(k.BlockOwnerDeletion) == flag(o.BlockOwnerDeletion) {
			return true
		}
	}
	return false
}

func flag(b *bool) int {
	switch {
	case b == nil:
		return 0
	case *b:
		return 1
	}
	return 2
}
