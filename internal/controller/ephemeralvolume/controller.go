// Package ephemeralvolume makes the claims of generic ephemeral volumes
// (KEP-1698): one for each such volume of a pod, named POD-VOLUME and owned by
// the pod, with which it goes.
//
// It creates claims and changes nothing.
package ephemeralvolume

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/ephemeral"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop. Make it with New.
type Controller struct {
	claims   client.Typed[*corev1.PersistentVolumeClaim]
	podInf   *client.Informer[*corev1.Pod]
	claimInf *client.Informer[*corev1.PersistentVolumeClaim]
	events   *record.Recorder
	loop     *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		claims: client.For[*corev1.PersistentVolumeClaim](c), podInf: client.InformerFor[*corev1.Pod](inf),
		claimInf: client.InformerFor[*corev1.PersistentVolumeClaim](inf), events: events,
	}
	r.loop = reconcile.New("ephemeralvolume", r.reconcile, opts)
	r.podInf.OnChange(func(_, new *corev1.Pod) {
		if new != nil && len(plan(new, r.claim)) > 0 {
			r.loop.Enqueue(own.KeyOf(new))
		}
	})
	r.claimInf.OnChange(func(old, new *corev1.PersistentVolumeClaim) {
		if new != nil {
			return
		}
		if owner := metav1.GetControllerOfNoCopy(old); owner != nil && owner.Kind == "Pod" {
			r.loop.Enqueue(reconcile.Key{Namespace: old.Namespace, Name: owner.Name})
		}
	})
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.podInf, r.claimInf)
}

func (r *Controller) claim(namespace, name string) *corev1.PersistentVolumeClaim {
	claim, _ := r.claimInf.Get(namespace, name)
	return claim
}

// lookAgain is when to look whose a claim is that was not known of.
const lookAgain = time.Second

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	pod, ok := r.podInf.Get(key.Namespace, key.Name)
	if !ok {
		return reconcile.Result{}, nil
	}
	var result reconcile.Result
	for _, step := range plan(pod, r.claim) {
		err := step.taken
		if err == nil {
			_, err = r.claims.Create(ctx, step.create)
		}
		if apierrors.IsAlreadyExists(err) {
			result.RequeueAfter = lookAgain // the informer will show whose it is
			continue
		}
		if err != nil {
			r.events.Eventf(pod, corev1.EventTypeWarning, "FailedBinding", "ephemeral volume %s: %v", step.volume, err)
			return reconcile.Result{}, fmt.Errorf("ephemeral volume %s: %w", step.volume, err)
		}
	}
	return result, nil
}

// step is one volume that lacks its claim.
type step struct {
	volume string
	create *corev1.PersistentVolumeClaim
	taken  error // the name belongs to a claim of somebody else
}

// plan says which claims a pod lacks.
func plan(pod *corev1.Pod, claim func(namespace, name string) *corev1.PersistentVolumeClaim) []step {
	if pod.DeletionTimestamp != nil {
		return nil
	}
	var out []step
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.Ephemeral == nil || v.Ephemeral.VolumeClaimTemplate == nil {
			continue
		}
		name := ephemeral.VolumeClaimName(pod, v)
		if have := claim(pod.Namespace, name); have == nil {
			out = append(out, step{volume: v.Name, create: claimOf(pod, name, v.Ephemeral.VolumeClaimTemplate)})
		} else if err := ephemeral.VolumeIsForPod(pod, have); err != nil {
			out = append(out, step{volume: v.Name, taken: err})
		}
	}
	return out
}

func claimOf(pod *corev1.Pod, name string, t *corev1.PersistentVolumeClaimTemplate) *corev1.PersistentVolumeClaim {
	t = t.DeepCopy()
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, Name: name, Labels: t.Labels, Annotations: t.Annotations,
			OwnerReferences: []metav1.OwnerReference{own.Ref(pod, corev1.SchemeGroupVersion.WithKind("Pod"))},
		},
		Spec: t.Spec,
	}
}
