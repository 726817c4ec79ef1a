// Package own is about who controls an object: finding it by index, adopting
// and releasing. Plans are pure; Apply writes.
package own

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
)

// Index is the name of the index that AddIndex keeps.
const Index = "controller"

// AddIndex makes an informer's objects findable by their controller's UID,
// and those without one by their namespace.
func AddIndex[T api.Object](inf *client.Informer[T]) {
	inf.AddIndex(Index, func(obj T) []string {
		if ref := metav1.GetControllerOfNoCopy(obj); ref != nil {
			return []string{string(ref.UID)}
		}
		return []string{"orphan/" + obj.GetNamespace()}
	})
}

// Candidates are the objects that the owner controls and those of its
// namespace that nobody does.
func Candidates[T api.Object](inf *client.Informer[T], owner metav1.Object) []T {
	return append(inf.ByIndex(Index, string(owner.GetUID())), inf.ByIndex(Index, "orphan/"+owner.GetNamespace())...)
}

// Claim is what an owner has and what it should take or let go.
type Claim[T api.Object] struct {
	Owned          []T // controlled already and matching
	Adopt, Release []T
	// Finalizer, where it is set, is put on what is adopted and taken off what
	// is released.
	Finalizer string
}

// Plan sorts candidates by whether the owner controls them and its selector
// matches. wanted tells which orphans are worth adopting.
func Plan[T api.Object](owner metav1.Object, selector labels.Selector, candidates []T, wanted func(T) bool) Claim[T] {
	var c Claim[T]
	for _, obj := range candidates {
		ref := metav1.GetControllerOfNoCopy(obj)
		matches := selector.Matches(labels.Set(obj.GetLabels()))
		switch {
		case ref != nil && ref.UID != owner.GetUID():
		case ref != nil && matches:
			c.Owned = append(c.Owned, obj)
		case ref != nil:
			if owner.GetDeletionTimestamp() == nil {
				c.Release = append(c.Release, obj)
			}
		case matches && owner.GetDeletionTimestamp() == nil && obj.GetDeletionTimestamp() == nil && wanted(obj):
			c.Adopt = append(c.Adopt, obj)
		}
	}
	return c
}

// Apply adopts and releases, and returns what the owner controls afterwards.
// confirm reads the owner afresh before the first adoption, so that nothing
// is adopted by an owner that is gone or going.
func Apply[T api.Object](ctx context.Context, objs client.Typed[T], claim Claim[T], ref metav1.OwnerReference, confirm func(context.Context) error) ([]T, error) {
	owned := claim.Owned
	for i, obj := range claim.Adopt {
		if i == 0 {
			if err := confirm(ctx); err != nil {
				return nil, err
			}
		}
		adopted, err := Adopt(ctx, objs, obj, ref, claim.Finalizer)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		owned = append(owned, adopted)
	}
	for _, obj := range claim.Release {
		if err := Release(ctx, objs, obj, ref.UID, claim.Finalizer); err != nil {
			return nil, err
		}
	}
	return owned, nil
}

// Adopt makes the reference's owner the object's controller, and adds the
// finalizer where it is not empty.
func Adopt[T api.Object](ctx context.Context, objs client.Typed[T], obj T, ref metav1.OwnerReference, finalizer string) (T, error) {
	meta := map[string]any{"uid": obj.GetUID(), "ownerReferences": []metav1.OwnerReference{ref}}
	if finalizer != "" {
		meta["finalizers"] = []string{finalizer}
	}
	patch, err := json.Marshal(map[string]any{"metadata": meta})
	if err != nil {
		return obj, fmt.Errorf("encoding the adoption: %w", err)
	}
	return objs.Patch(ctx, obj.GetNamespace(), obj.GetName(), types.StrategicMergePatchType, patch)
}

// Release takes the owner's reference off the object, and the finalizer where
// it is not empty; an object that is gone or was replaced needs no release.
func Release[T api.Object](ctx context.Context, objs client.Typed[T], obj T, owner types.UID, finalizer string) error {
	meta := map[string]any{"uid": obj.GetUID(), "ownerReferences": []map[string]any{{"$patch": "delete", "uid": owner}}}
	if finalizer != "" {
		meta["$deleteFromPrimitiveList/finalizers"] = []string{finalizer}
	}
	patch, err := json.Marshal(map[string]any{"metadata": meta})
	if err != nil {
		return fmt.Errorf("encoding the release: %w", err)
	}
	_, err = objs.Patch(ctx, obj.GetNamespace(), obj.GetName(), types.StrategicMergePatchType, patch)
	if apierrors.IsNotFound(err) || apierrors.IsInvalid(err) {
		return nil
	}
	return err
}

// Confirm reads an owner afresh and fails where it is gone, was replaced or
// is being deleted.
func Confirm[T api.Object](objs client.Typed[T], owner T) func(context.Context) error {
	return func(ctx context.Context) error {
		fresh, err := objs.Get(ctx, owner.GetNamespace(), owner.GetName())
		if err != nil {
			return err
		}
		if fresh.GetUID() != owner.GetUID() {
			return fmt.Errorf("%s/%s is another one now: uid %s, not %s", owner.GetNamespace(), owner.GetName(), fresh.GetUID(), owner.GetUID())
		}
		if fresh.GetDeletionTimestamp() != nil {
			return fmt.Errorf("%s/%s is being deleted since %s", owner.GetNamespace(), owner.GetName(), fresh.GetDeletionTimestamp())
		}
		return nil
	}
}

// Ref is a reference that makes the owner the controller.
func Ref(owner metav1.Object, gvk schema.GroupVersionKind) metav1.OwnerReference {
	return *metav1.NewControllerRef(owner, gvk)
}
