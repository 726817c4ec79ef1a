// Package provisioner makes volumes on the disks of nodes for claims that the
// binder hands to it: a folder each, on the node that the scheduler chose. The
// node makes the folder when a pod first needs it, and deletes it when the
// volume object is gone. Classes with the parameter limit: file make the size a
// limit: the folder holds a file system of its own.
//
// It creates and deletes volumes of its own name alone, takes back a node that
// was chosen for a claim and cannot hold its volume, and writes the volumes'
// capacity when the claim asks for more, and the claim's where no node has to
// do anything for it.
package provisioner

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/localvolume"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/controller/internal/storage"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop, whose keys are claims and, without a namespace,
// volumes. Make it with New.
type Controller struct {
	claims    client.Typed[*corev1.PersistentVolumeClaim]
	volumes   client.Typed[*corev1.PersistentVolume]
	claimInf  *client.Informer[*corev1.PersistentVolumeClaim]
	volumeInf *client.Informer[*corev1.PersistentVolume]
	classInf  *client.Informer[*storagev1.StorageClass]
	nodeInf   *client.Informer[*corev1.Node]
	podInf    *client.Informer[*corev1.Pod]
	events    *record.Recorder
	loop      *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		claims: client.For[*corev1.PersistentVolumeClaim](c), volumes: client.For[*corev1.PersistentVolume](c),
		claimInf: client.InformerFor[*corev1.PersistentVolumeClaim](inf), volumeInf: client.InformerFor[*corev1.PersistentVolume](inf),
		classInf: client.InformerFor[*storagev1.StorageClass](inf), nodeInf: client.InformerFor[*corev1.Node](inf), podInf: client.InformerFor[*corev1.Pod](inf),
		events: events,
	}
	storage.IndexByClaim(r.podInf)
	r.loop = reconcile.New("provisioner", r.reconcile, opts)
	r.claimInf.OnChange(func(_, new *corev1.PersistentVolumeClaim) {
		if new != nil {
			r.loop.Enqueue(own.KeyOf(new))
		}
	})
	r.volumeInf.OnChange(func(_, new *corev1.PersistentVolume) {
		if new != nil {
			r.loop.Enqueue(own.KeyOf(new))
		}
	})
	r.classInf.OnChange(func(_, new *storagev1.StorageClass) {
		if new == nil {
			return
		}
		for _, claim := range r.claimInf.List("", nil) { // it may have been looked for while the class was not there
			if name, _ := storage.ClassOf(claim); name == new.Name && asked(claim) {
				r.loop.Enqueue(own.KeyOf(claim))
			}
		}
	})
	r.nodeInf.OnChange(func(old, new *corev1.Node) {
		if new == nil || !holds(new) || old != nil && holds(old) && old.Spec.Unschedulable == new.Spec.Unschedulable {
			return
		}
		for _, claim := range r.claimInf.List("", nil) { // it may be what they lacked
			if asked(claim) {
				r.loop.Enqueue(own.KeyOf(claim))
			}
		}
	})
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.claimInf, r.volumeInf, r.classInf, r.nodeInf, r.podInf)
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	var err error
	if key.Namespace == "" {
		err = r.reclaim(ctx, key.Name)
	} else if claim, ok := r.claimInf.Get(key.Namespace, key.Name); ok && asked(claim) {
		err = r.provision(ctx, claim)
	} else if ok && claim.Status.Phase == corev1.ClaimBound {
		err = r.grow(ctx, claim)
	}
	if apierrors.IsNotFound(err) {
		err = nil // the informers will tell
	}
	return reconcile.Result{}, err
}

func (r *Controller) provision(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	name, _ := storage.ClassOf(claim)
	class, ok := r.classInf.Get("", name)
	if !ok || storage.Waits(class) && claim.Annotations[storage.SelectedNode] == "" {
		return nil // the class will come, or the scheduler is to choose again
	}
	v, err := plan(claim, class, func(name string) *corev1.Node {
		if name == "" {
			return first(r.nodeInf.List("", nil))
		}
		n, _ := r.nodeInf.Get("", name)
		return n
	})
	if err != nil {
		r.events.Eventf(claim, corev1.EventTypeWarning, "ProvisioningFailed", "failed to provision volume with StorageClass %q: %v", class.Name, err)
		if errors.Is(err, errNode) && storage.Waits(class) && r.mayGoElsewhere(claim) {
			return r.takeBack(ctx, claim)
		}
		return err
	}
	if _, err := r.volumes.Create(ctx, v); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	}
	r.events.Eventf(claim, corev1.EventTypeNormal, "ProvisioningSucceeded", "Successfully provisioned volume %s", v.Name)
	if !localvolume.Limited(v) {
		r.events.Eventf(claim, corev1.EventTypeNormal, "SizeNotEnforced",
			"volume %s is a folder on the node's disk: its size is not a limit (a storage class with the parameter limit: file makes it one)", v.Name)
	}
	return nil
}

// mayGoElsewhere tells whether no pod of the claim has the node that was chosen.
func (r *Controller) mayGoElsewhere(claim *corev1.PersistentVolumeClaim) bool {
	pods := r.podInf.ByIndex(storage.ByClaim, claim.Namespace+"/"+claim.Name)
	return !slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return pod.Spec.NodeName != "" && pod.DeletionTimestamp == nil })
}

// takeBack tells the scheduler to choose another node for a claim.
func (r *Controller) takeBack(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	next := claim.DeepCopy()
	delete(next.Annotations, storage.SelectedNode)
	_, err := r.claims.Update(ctx, next)
	return err
}

// grow gives a volume the size that its claim asks for. A folder needs no more
// than that, so that its claim never waits: it is told of the end of the
// expansion (KEP-1790) with no condition before it. Where the size is a limit,
// the node ends it.
func (r *Controller) grow(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	v, ok := r.volumeInf.Get("", claim.Spec.VolumeName)
	if !ok || !grown(claim, v) && !behind(claim, v) {
		return nil
	}
	var err error
	if grown(claim, v) {
		v = v.DeepCopy()
		v.Spec.Capacity[corev1.ResourceStorage] = claim.Spec.Resources.Requests[corev1.ResourceStorage]
		if v, err = r.volumes.Update(ctx, v); err != nil {
			return err
		}
	}
	if localvolume.Limited(v) {
		if next := pending(claim, v, metav1.Now()); next != nil {
			_, err = r.claims.UpdateStatus(ctx, next)
		}
		return err
	}
	next := claim.DeepCopy()
	next.Status.Capacity = v.Spec.Capacity.DeepCopy()
	next.Status.AllocatedResources = v.Spec.Capacity.DeepCopy()
	if _, err = r.claims.UpdateStatus(ctx, next); err == nil {
		r.events.Eventf(claim, corev1.EventTypeNormal, "FileSystemResizeSuccessful", "volume %s has its new size", v.Name)
	}
	return err
}

// reclaim deletes a volume whose claim is gone. The node deletes the files.
func (r *Controller) reclaim(ctx context.Context, name string) error {
	v, ok := r.volumeInf.Get("", name)
	if !ok || !reclaimed(v) {
		return nil
	}
	return r.volumes.Delete(ctx, "", name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &v.UID, ResourceVersion: &v.ResourceVersion}})
}
