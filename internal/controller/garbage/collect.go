package garbage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller/internal/batch"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// reconcile looks at one object of the graph.
func (r *Controller) reconcile(ctx context.Context, uid types.UID) (reconcile.Result, error) {
	it, ok := r.graph.get(uid)
	if !ok {
		return reconcile.Result{}, nil
	}
	obj, ok := r.object(it)
	if !ok {
		return reconcile.Result{}, nil // its deletion was or will be told
	}
	switch {
	case orphansDependents(obj):
		return reconcile.Result{}, r.orphan(ctx, it, obj)
	case waitsForDependents(obj):
		return reconcile.Result{}, r.foreground(ctx, it, obj)
	case obj.GetDeletionTimestamp() != nil || len(obj.GetOwnerReferences()) == 0:
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, r.collect(ctx, it, obj)
}

// orphan lets all dependents go their own way, then the owner.
func (r *Controller) orphan(ctx context.Context, it item, obj api.Object) error {
	dependents := r.graph.dependentsOf(it.uid)
	err := batch.All(len(dependents), func(i int) error {
		return r.dropOwners(ctx, dependents[i], []types.UID{it.uid})
	})
	if err != nil {
		return fmt.Errorf("orphaning the dependents of %s %s/%s: %w", it.kind.Resource, it.namespace, it.name, err)
	}
	return r.dropFinalizer(ctx, it, obj, metav1.FinalizerOrphanDependents)
}

// foreground lets the owner go once nothing blocks it.
func (r *Controller) foreground(ctx context.Context, it item, obj api.Object) error {
	blocked := false
	for _, dependent := range r.graph.dependentsOf(it.uid) {
		if dependent.blocks(it.uid) {
			blocked = true
			r.loop.Enqueue(dependent.uid)
		}
	}
	if blocked {
		return nil // woken again as they go
	}
	return r.dropFinalizer(ctx, it, obj, metav1.FinalizerDeleteDependents)
}

// collect deletes the object, or takes references off it, as its owners'
// fate demands.
func (r *Controller) collect(ctx context.Context, it item, obj api.Object) error {
	states := map[types.UID]ownerState{}
	for _, ref := range obj.GetOwnerReferences() {
		state, err := r.ownerState(ctx, obj, ref)
		if err != nil {
			return err
		}
		states[ref.UID] = state
	}
	dependents := r.graph.dependentsOf(it.uid)
	waits := slices.ContainsFunc(dependents, func(d item) bool {
		dep, ok := r.object(d)
		return ok && waitsForDependents(dep)
	})
	v := judge(obj, states, len(dependents) > 0, waits)
	if len(v.drop) > 0 {
		return r.dropOwners(ctx, it, v.drop)
	}
	if !v.remove {
		return nil
	}
	if v.unblock {
		fresh, err := r.unblock(ctx, it, obj)
		if err != nil {
			return err
		}
		obj = fresh
	}
	return r.remove(ctx, it, obj, v.policy)
}

// remove deletes exactly the version that was judged, so that a reference
// added meanwhile counts.
func (r *Controller) remove(ctx context.Context, it item, obj api.Object, policy metav1.DeletionPropagation) error {
	version := obj.GetResourceVersion()
	err := client.Of(r.client, it.kind).Delete(ctx, it.namespace, it.name, metav1.DeleteOptions{
		PropagationPolicy: &policy,
		Preconditions:     &metav1.Preconditions{UID: &it.uid, ResourceVersion: &version},
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// ownerState finds out what became of an owner; the server is asked before an
// owner counts as gone.
func (r *Controller) ownerState(ctx context.Context, obj api.Object, ref metav1.OwnerReference) (ownerState, error) {
	if state, known := r.cachedState(obj, ref); known {
		return state, nil
	}
	kind := r.kindOf(ref)
	if kind == nil {
		return ownerThere, fmt.Errorf("owner %s %s of %s/%s: the kind is not served", ref.APIVersion, ref.Kind, obj.GetNamespace(), obj.GetName())
	}
	namespace := ""
	if kind.Namespaced {
		if obj.GetNamespace() == "" {
			r.events.Eventf(obj, corev1.EventTypeWarning, "OwnerRefInvalidNamespace",
				"ownerRef %s does not exist in namespace %q", describe(ref, ""), "")
			return ownerThere, nil
		}
		namespace = obj.GetNamespace()
	}
	owner, err := client.Of(r.client, kind.Stored()).Get(ctx, namespace, ref.Name)
	switch {
	case apierrors.IsNotFound(err):
		return ownerAbsent, nil
	case err != nil:
		return ownerThere, err
	case owner.GetUID() != ref.UID:
		return ownerAbsent, nil
	case waitsForDependents(owner):
		return ownerWaiting, nil
	}
	return ownerThere, nil
}

// cachedState is the owner's state where its informer holds it.
func (r *Controller) cachedState(obj api.Object, ref metav1.OwnerReference) (ownerState, bool) {
	kind := r.kindOf(ref)
	if kind == nil {
		return ownerThere, false
	}
	informer := r.informerOf(kind)
	if informer == nil {
		return ownerThere, false
	}
	namespace := ""
	if kind.Namespaced {
		namespace = obj.GetNamespace()
	}
	owner, ok := informer.Get(namespace, ref.Name)
	switch {
	case !ok || owner.GetUID() != ref.UID:
		return ownerThere, false
	case waitsForDependents(owner):
		return ownerWaiting, true
	}
	return ownerThere, true
}

func (r *Controller) kindOf(ref metav1.OwnerReference) *api.Kind {
	return r.client.Catalog().Kind(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind))
}

func describe(ref metav1.OwnerReference, namespace string) string {
	return fmt.Sprintf("[%s/%s, namespace: %s, name: %s, uid: %s]", ref.APIVersion, ref.Kind, namespace, ref.Name, ref.UID)
}

// dropOwners takes references off an object; one that is gone needs nothing.
func (r *Controller) dropOwners(ctx context.Context, it item, owners []types.UID) error {
	obj, err := client.Of(r.client, it.kind).Get(ctx, it.namespace, it.name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if obj.GetUID() != it.uid {
		return nil
	}
	left := slices.DeleteFunc(slices.Clone(obj.GetOwnerReferences()), func(ref metav1.OwnerReference) bool {
		return slices.Contains(owners, ref.UID)
	})
	if len(left) == len(obj.GetOwnerReferences()) {
		return nil
	}
	_, err = r.patch(ctx, it, obj, map[string]any{"ownerReferences": left})
	return err
}

// unblock makes the object's references stop blocking their owners.
func (r *Controller) unblock(ctx context.Context, it item, obj api.Object) (api.Object, error) {
	no := false
	refs := slices.Clone(obj.GetOwnerReferences())
	for i := range refs {
		if isTrue(refs[i].BlockOwnerDeletion) {
			refs[i].BlockOwnerDeletion = &no
		}
	}
	return r.patch(ctx, it, obj, map[string]any{"ownerReferences": refs})
}

func (r *Controller) dropFinalizer(ctx context.Context, it item, obj api.Object, finalizer string) error {
	left := slices.DeleteFunc(slices.Clone(obj.GetFinalizers()), func(f string) bool { return f == finalizer })
	_, err := r.patch(ctx, it, obj, map[string]any{"finalizers": left})
	return err
}

// patch writes metadata onto exactly the version that was read.
func (r *Controller) patch(ctx context.Context, it item, obj api.Object, metadata map[string]any) (api.Object, error) {
	metadata["uid"], metadata["resourceVersion"] = it.uid, obj.GetResourceVersion()
	doc, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return nil, fmt.Errorf("encoding the patch: %w", err)
	}
	out, err := client.Of(r.client, it.kind).Patch(ctx, it.namespace, it.name, types.MergePatchType, doc)
	if apierrors.IsNotFound(err) {
		return obj, nil
	}
	return out, err
}
