package volumebinder

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/controller/internal/storage"
)

// yes is the value of annotations that say something by being there.
const yes = "yes"

// bind writes what is missing of a binding, the volume's side first: from
// then on nobody else can have it.
func (r *Controller) bind(ctx context.Context, v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) error {
	var err error
	if next, changed := withClaim(v, claim); changed {
		if v, err = r.volumes.Update(ctx, next); err != nil {
			return err
		}
	}
	if v.Status.Phase != corev1.VolumeBound {
		next := v.DeepCopy()
		next.Status.Phase, next.Status.Message, next.Status.Reason = corev1.VolumeBound, "", ""
		if v, err = r.volumes.UpdateStatus(ctx, next); err != nil {
			return err
		}
	}
	if next, changed := withVolume(claim, v); changed {
		if claim, err = r.claims.Update(ctx, next); err != nil {
			return err
		}
	}
	if next, changed := boundStatus(claim, v); changed {
		_, err = r.claims.UpdateStatus(ctx, next)
	}
	return err
}

// withClaim is the volume with the claim in its claimRef.
func withClaim(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) (*corev1.PersistentVolume, bool) {
	if ref := v.Spec.ClaimRef; ref != nil && storage.Refers(v, claim) && ref.UID == claim.UID {
		return v, false
	}
	next := v.DeepCopy()
	if next.Spec.ClaimRef == nil {
		metav1.SetMetaDataAnnotation(&next.ObjectMeta, storage.BoundByController, yes)
	}
	next.Spec.ClaimRef = &corev1.ObjectReference{
		APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name,
		UID: claim.UID, ResourceVersion: claim.ResourceVersion,
	}
	return next, true
}

// withVolume is the claim with the volume's name, marked as bound.
func withVolume(claim *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) (*corev1.PersistentVolumeClaim, bool) {
	_, completed := claim.Annotations[storage.BindCompleted]
	if claim.Spec.VolumeName == v.Name && completed {
		return claim, false
	}
	next := claim.DeepCopy()
	if next.Spec.VolumeName == "" {
		next.Spec.VolumeName = v.Name
		metav1.SetMetaDataAnnotation(&next.ObjectMeta, storage.BoundByController, yes)
	}
	metav1.SetMetaDataAnnotation(&next.ObjectMeta, storage.BindCompleted, yes)
	return next, true
}

// boundStatus is the claim's status once it is bound. The capacity is taken
// over once: from then on expansion writes it.
func boundStatus(claim *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) (*corev1.PersistentVolumeClaim, bool) {
	next := claim.DeepCopy()
	if claim.Status.Phase != corev1.ClaimBound {
		next.Status.Phase = corev1.ClaimBound
		next.Status.Capacity = v.Spec.Capacity.DeepCopy()
		next.Status.CurrentVolumeAttributesClassName = v.Spec.VolumeAttributesClassName
	}
	next.Status.AccessModes = slices.Clone(v.Spec.AccessModes)
	return next, !apiequality.Semantic.DeepEqual(next.Status, claim.Status)
}

// volume carries out a volume's plan.
func (r *Controller) volume(ctx context.Context, name string) error {
	v, ok := r.volumeInf.Get("", name)
	if !ok {
		return nil
	}
	claim, err := r.claimOf(ctx, v.Spec.ClaimRef)
	if err != nil {
		return err
	}
	plan := planVolume(v, claim)
	if plan.wake && claim != nil {
		r.loop.Enqueue(target{Namespace: claim.Namespace, Name: claim.Name})
	}
	if plan.unbind {
		if v, err = r.volumes.Update(ctx, unbound(v, plan.forget)); err != nil {
			return err
		}
	}
	if v.Status.Phase == plan.phase && v.Status.Message == plan.message {
		return nil
	}
	next := v.DeepCopy()
	next.Status.Phase, next.Status.Message = plan.phase, plan.message
	if v, err = r.volumes.UpdateStatus(ctx, next); err != nil {
		return err
	}
	r.tell(v, plan.note)
	return nil
}

// unbound is the volume without its claim, or, where a user set it aside for
// one, without that claim's uid.
func unbound(v *corev1.PersistentVolume, forget bool) *corev1.PersistentVolume {
	next := v.DeepCopy()
	if forget {
		delete(next.Annotations, storage.BoundByController)
		next.Spec.ClaimRef = nil
	} else {
		next.Spec.ClaimRef.UID = ""
	}
	return next
}

// claimOf is the claim that a volume refers to; nil where it is gone. One that
// the informer lacks, or has with another uid, is asked for: it may be newer,
// and the volume would be given up.
func (r *Controller) claimOf(ctx context.Context, ref *corev1.ObjectReference) (*corev1.PersistentVolumeClaim, error) {
	if ref == nil {
		return nil, nil
	}
	claim, found := r.claimInf.Get(ref.Namespace, ref.Name)
	if ref.UID == "" || found && claim.UID == ref.UID {
		return claim, nil
	}
	claim, err := r.claims.Get(ctx, ref.Namespace, ref.Name)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return claim, err
}
