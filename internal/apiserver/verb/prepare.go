package verb

import (
	"bytes"
	"context"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apimachinery "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/validate"
	"github.com/knarr-io/knarr/internal/apiserver/codec"
	"github.com/knarr-io/knarr/internal/apiserver/managed"
)

// prepareUpdate carries over what a change may not touch, raises the
// generation where the kind's rules say so, and checks the result.
func (h *Handler) prepareUpdate(ctx context.Context, t *target, obj, old api.Object) error {
	obj.SetGeneration(old.GetGeneration())
	obj.SetSelfLink("")
	if t.rules.PrepareUpdate != nil {
		owned, version := obj.GetManagedFields(), obj.GetResourceVersion()
		t.rules.PrepareUpdate(obj, old)
		obj.SetManagedFields(owned) // rules may have started from a copy of old
		obj.SetResourceVersion(version)
	}
	if t.rules.Stamp != nil {
		t.rules.Stamp(obj, old, api.Stamp{Now: metav1.Time{Time: h.Now().UTC().Truncate(1e9)}, User: userOf(ctx), Warn: warner(ctx)})
	}
	if t.rules.Generation != nil && t.rules.Generation(obj, old) {
		obj.SetGeneration(old.GetGeneration() + 1)
	}
	carryOver(obj, old)
	err := h.validated(ctx, t, obj, old, func() field.ErrorList {
		return append(commonMeta(t.kind, obj, old), validate.Update(t.rules, obj, old)...)
	})
	if err != nil {
		return err
	}
	if t.rules.Warn != nil {
		warnAll(ctx, t.rules.Warn(obj, old))
	}
	return nil
}

// carryOver keeps what no update can change or take away.
func carryOver(obj, old api.Object) {
	if obj.GetUID() == "" {
		obj.SetUID(old.GetUID())
	}
	obj.SetCreationTimestamp(old.GetCreationTimestamp())
	if old.GetDeletionTimestamp() != nil {
		obj.SetDeletionTimestamp(old.GetDeletionTimestamp())
	}
	if old.GetDeletionGracePeriodSeconds() != nil && obj.GetDeletionGracePeriodSeconds() == nil {
		obj.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	}
}

// commonMeta are the checks of metadata that hold for every kind, before the
// kind's own.
func commonMeta(k *api.Kind, obj, old api.Object) field.ErrorList {
	at := field.NewPath("metadata")
	errs := apimachinery.ValidateObjectMetaAccessor(obj, k.Namespaced, path.ValidatePathSegmentName, at)
	return append(errs, apimachinery.ValidateObjectMetaAccessorUpdate(obj, old, at)...)
}

// unchanged tells whether a change would store what is there already. Managed
// fields that differ in their times only are no change; the old times stay.
func unchanged(obj, old api.Object) bool {
	if obj.GetResourceVersion() != old.GetResourceVersion() {
		return false
	}
	entries := obj.GetManagedFields()
	if managed.SameButTimes(entries, old.GetManagedFields()) {
		obj.SetManagedFields(old.GetManagedFields())
	}
	if same(obj, old) {
		return true
	}
	obj.SetManagedFields(entries)
	return false
}

// same compares what would be stored. Protobuf is compared where there is
// one: it makes no difference between absent and empty, as the store does not.
func same(a, b api.Object) bool {
	x, isProto := a.(codec.Marshaler)
	if !isProto {
		return apiequality.Semantic.DeepEqual(a, b)
	}
	y := b.(codec.Marshaler)
	if x.Size() != y.Size() {
		return false
	}
	left, err := x.Marshal()
	if err != nil {
		return false
	}
	right, err := y.Marshal()
	return err == nil && bytes.Equal(left, right)
}

// held tells whether finalizers keep a deleted object. A namespace has more
// of them in its spec.
func held(obj api.Object) bool {
	if len(obj.GetFinalizers()) > 0 {
		return true
	}
	ns, isNamespace := obj.(*corev1.Namespace)
	return isNamespace && len(ns.Spec.Finalizers) > 0
}

// released tells whether an object that is being deleted is held by nothing
// any more, so that it goes now.
func released(obj api.Object) bool {
	if obj.GetDeletionTimestamp() == nil || held(obj) {
		return false
	}
	grace := obj.GetDeletionGracePeriodSeconds()
	return grace == nil || *grace == 0
}
