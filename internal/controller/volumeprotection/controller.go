// Package volumeprotection keeps claims, volumes and volume attribute classes
// from going while somebody uses them: each bears a finalizer, which is taken
// off when the object is being deleted and no pod (claim, volume) uses it any
// more.
//
// It writes these three finalizers and nothing else.
package volumeprotection

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/controller/internal/storage"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller protects the objects of one kind. Make it with Claims, Volumes or
// Classes.
type Controller[T api.Object] struct {
	objects   client.Typed[T]
	informer  *client.Informer[T]
	finalizer string
	// used tells whether somebody uses an object that is being deleted.
	used  func(ctx context.Context, obj T) (bool, error)
	waits []func(context.Context) error
	loop  *reconcile.Controller[reconcile.Key]
}

func newController[T api.Object](name, finalizer string, c *client.Client, inf *client.Informers, opts reconcile.Options) *Controller[T] {
	r := &Controller[T]{objects: client.For[T](c), informer: client.InformerFor[T](inf), finalizer: finalizer}
	r.waits = append(r.waits, r.informer.WaitSynced)
	r.loop = reconcile.New(name, r.reconcile, opts)
	r.informer.OnChange(own.Enqueuer[T](r.loop.Enqueue))
	return r
}

// Claims protects claims from going while a pod on a node uses them.
func Claims(c *client.Client, inf *client.Informers, opts reconcile.Options) *Controller[*corev1.PersistentVolumeClaim] {
	r := newController[*corev1.PersistentVolumeClaim]("pvcprotection", claimFinalizer, c, inf, opts)
	pods, live := client.InformerFor[*corev1.Pod](inf), client.For[*corev1.Pod](c)
	storage.IndexByClaim(pods)
	r.waits = append(r.waits, pods.WaitSynced)
	r.used = func(ctx context.Context, claim *corev1.PersistentVolumeClaim) (bool, error) {
		key := claim.Namespace + "/" + claim.Name
		if usesClaim(pods.ByIndex(storage.ByClaim, key)) {
			return true, nil
		}
		// The informer may not have seen the newest pod yet: look once more.
		all, _, err := live.List(ctx, claim.Namespace, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		var named []*corev1.Pod
		for _, pod := range all {
			for _, uses := range storage.ClaimsOf(pod) {
				if uses == key {
					named = append(named, pod)
				}
			}
		}
		return usesClaim(named), nil
	}
	pods.OnChange(func(old, new *corev1.Pod) {
		if old == nil || new != nil && new.Spec.NodeName == old.Spec.NodeName {
			return
		}
		for _, key := range storage.KeysOf(old) {
			r.loop.Enqueue(key)
		}
	})
	return r
}

// Volumes protects volumes from going while they are bound.
func Volumes(c *client.Client, inf *client.Informers, opts reconcile.Options) *Controller[*corev1.PersistentVolume] {
	r := newController[*corev1.PersistentVolume]("pvprotection", volumeFinalizer, c, inf, opts)
	r.used = func(_ context.Context, v *corev1.PersistentVolume) (bool, error) {
		return v.Status.Phase == corev1.VolumeBound, nil
	}
	return r
}

// Classes protects volume attribute classes from going while a claim or
// volume names them.
func Classes(c *client.Client, inf *client.Informers, opts reconcile.Options) *Controller[*storagev1.VolumeAttributesClass] {
	const byClass = "attributesclass"
	r := newController[*storagev1.VolumeAttributesClass]("vacprotection", classFinalizer, c, inf, opts)
	claims, volumes := client.InformerFor[*corev1.PersistentVolumeClaim](inf), client.InformerFor[*corev1.PersistentVolume](inf)
	claims.AddIndex(byClass, classesOfClaim)
	volumes.AddIndex(byClass, classesOfVolume)
	r.waits = append(r.waits, claims.WaitSynced, volumes.WaitSynced)
	r.used = func(_ context.Context, class *storagev1.VolumeAttributesClass) (bool, error) {
		return len(claims.ByIndex(byClass, class.Name)) > 0 || len(volumes.ByIndex(byClass, class.Name)) > 0, nil
	}
	wake := func(names []string) {
		for _, name := range names {
			r.loop.Enqueue(reconcile.Key{Name: name})
		}
	}
	claims.OnChange(func(old, _ *corev1.PersistentVolumeClaim) {
		if old != nil {
			wake(classesOfClaim(old))
		}
	})
	volumes.OnChange(func(old, _ *corev1.PersistentVolume) {
		if old != nil {
			wake(classesOfVolume(old))
		}
	})
	return r
}

// Run works until ctx ends.
func (r *Controller[T]) Run(ctx context.Context) {
	for _, wait := range r.waits {
		if wait(ctx) != nil {
			return
		}
	}
	r.loop.Run(ctx)
}

func (r *Controller[T]) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	obj, ok := r.informer.Get(key.Namespace, key.Name)
	if !ok {
		return reconcile.Result{}, nil
	}
	var failed error
	finalizers, changed := plan(obj, r.finalizer, func() bool {
		used, err := r.used(ctx, obj)
		failed = err
		return used || err != nil
	})
	if failed != nil || !changed {
		return reconcile.Result{}, failed
	}
	next := obj.DeepCopyObject().(T)
	next.SetFinalizers(finalizers)
	_, err := r.objects.Update(ctx, next)
	if apierrors.IsNotFound(err) {
		err = nil
	}
	return reconcile.Result{}, err
}
