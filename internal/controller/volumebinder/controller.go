// Package volumebinder brings claims and volumes together: it finds the volume
// that fits a claim, or asks the class's provisioner for one, writes both
// sides of the binding, and tells what becomes of a volume whose claim is
// gone.
//
// A binding is four writes: the volume's claimRef and its phase, the claim's
// volumeName and its status. Any run may end between two of them: the next one
// goes on where it stopped, as each is written only where it is missing. Two
// claims cannot take one volume, as the volume's version must not have changed
// since it was chosen. The binder alone writes these fields and the phases of
// both kinds; what it does not touch is what a user bound by hand.
package volumebinder

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/controller/internal/storage"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// target is a claim, or, without a namespace, a volume.
type target = reconcile.Key

// Controller runs the loop. Make it with New.
type Controller struct {
	claims    client.Typed[*corev1.PersistentVolumeClaim]
	volumes   client.Typed[*corev1.PersistentVolume]
	claimInf  *client.Informer[*corev1.PersistentVolumeClaim]
	volumeInf *client.Informer[*corev1.PersistentVolume]
	classInf  *client.Informer[*storagev1.StorageClass]
	podInf    *client.Informer[*corev1.Pod]
	events    *record.Recorder
	loop      *reconcile.Controller[target]
}

// New wires the controller to its informers. One worker suits it best: what
// claims can get depends on what others took.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		claims: client.For[*corev1.PersistentVolumeClaim](c), volumes: client.For[*corev1.PersistentVolume](c),
		claimInf: client.InformerFor[*corev1.PersistentVolumeClaim](inf), volumeInf: client.InformerFor[*corev1.PersistentVolume](inf),
		classInf: client.InformerFor[*storagev1.StorageClass](inf), podInf: client.InformerFor[*corev1.Pod](inf), events: events,
	}
	storage.IndexByClaim(r.podInf)
	r.loop = reconcile.New("volumebinder", r.reconcile, opts)
	r.claimInf.OnChange(r.claimChanged)
	r.volumeInf.OnChange(r.volumeChanged)
	r.classInf.OnChange(func(_, new *storagev1.StorageClass) {
		if new != nil {
			r.wakeUnbound()
		}
	})
	r.podInf.OnChange(r.podChanged)
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.claimInf, r.volumeInf, r.classInf, r.podInf)
}

func (r *Controller) claimChanged(old, new *corev1.PersistentVolumeClaim) {
	for _, claim := range []*corev1.PersistentVolumeClaim{old, new} {
		if claim == nil {
			continue
		}
		r.loop.Enqueue(own.KeyOf(claim))
		if claim.Spec.VolumeName != "" {
			r.loop.Enqueue(target{Name: claim.Spec.VolumeName})
		}
	}
}

func (r *Controller) volumeChanged(old, new *corev1.PersistentVolume) {
	for _, v := range []*corev1.PersistentVolume{old, new} {
		if v == nil {
			continue
		}
		r.loop.Enqueue(target{Name: v.Name})
		if ref := v.Spec.ClaimRef; ref != nil {
			r.loop.Enqueue(target{Namespace: ref.Namespace, Name: ref.Name})
		}
	}
	if new == nil || new.Spec.ClaimRef == nil {
		r.wakeUnbound()
	}
}

// podChanged looks at claims that wait for a pod, when one comes or gets its
// node.
func (r *Controller) podChanged(old, new *corev1.Pod) {
	if new == nil || old != nil && old.Spec.NodeName == new.Spec.NodeName {
		return
	}
	for _, key := range storage.KeysOf(new) {
		r.loop.Enqueue(key)
	}
}

// wakeUnbound looks at all claims again that a new volume or class could help.
func (r *Controller) wakeUnbound() {
	for _, claim := range r.claimInf.List("", nil) {
		if claim.Status.Phase != corev1.ClaimBound {
			r.loop.Enqueue(own.KeyOf(claim))
		}
	}
}

func (r *Controller) reconcile(ctx context.Context, key target) (reconcile.Result, error) {
	var err error
	if key.Namespace == "" {
		err = r.volume(ctx, key.Name)
	} else {
		err = r.claim(ctx, key)
	}
	if apierrors.IsNotFound(err) {
		err = nil // the informers will tell
	}
	return reconcile.Result{}, err
}

func (r *Controller) claim(ctx context.Context, key target) error {
	claim, ok := r.claimInf.Get(key.Namespace, key.Name)
	if !ok {
		return nil
	}
	if claim.DeletionTimestamp != nil && claim.Annotations[storage.BindCompleted] == "" {
		return nil
	}
	plan := planClaim(claim, &world{
		volumes: r.volumeInf.List("", nil), classes: r.classInf.List("", nil),
		pods: r.podInf.ByIndex(storage.ByClaim, key.Namespace+"/"+key.Name),
	})
	if plan.bind != nil {
		if err := r.bind(ctx, plan.bind, claim); err != nil {
			return err
		}
		r.tell(claim, plan.note)
		return nil
	}
	claim, err := r.prepare(ctx, claim, &plan)
	if err != nil {
		return err
	}
	changed := claim.Status.Phase != plan.phase
	if changed {
		claim = claim.DeepCopy()
		claim.Status.Phase = plan.phase
		claim.Status.AccessModes, claim.Status.Capacity = nil, nil // those of a volume that it has no more
		if claim, err = r.claims.UpdateStatus(ctx, claim); err != nil {
			return err
		}
	}
	if plan.phase != corev1.ClaimLost || changed {
		r.tell(claim, plan.note)
	}
	return nil
}

// prepare gives the claim its class, or says who is to provision for it.
func (r *Controller) prepare(ctx context.Context, claim *corev1.PersistentVolumeClaim, plan *claimPlan) (*corev1.PersistentVolumeClaim, error) {
	next := claim.DeepCopy()
	if plan.setClass != "" {
		next.Spec.StorageClassName = &plan.setClass
		return r.claims.Update(ctx, next)
	}
	if plan.provisioner == "" {
		return claim, nil
	}
	want := map[string]string{storage.Provisioner: plan.provisioner, storage.BetaProvisioner: plan.provisioner}
	if plan.node != "" {
		want[storage.SelectedNode] = plan.node
	}
	changed := false
	for name, text := range want {
		if claim.Annotations[name] != text {
			metav1.SetMetaDataAnnotation(&next.ObjectMeta, name, text)
			changed = true
		}
	}
	if !changed {
		return claim, nil
	}
	return r.claims.Update(ctx, next)
}

func (r *Controller) tell(about api.Object, n *note) {
	if n == nil {
		return
	}
	typ := corev1.EventTypeNormal
	if n.warning {
		typ = corev1.EventTypeWarning
	}
	r.events.Event(about, typ, n.reason, n.message)
}
