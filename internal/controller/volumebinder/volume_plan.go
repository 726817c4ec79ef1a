package volumebinder

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/controller/internal/storage"
)

// volumePlan is what to do with a volume.
type volumePlan struct {
	phase   corev1.PersistentVolumePhase
	message string
	note    *note
	// unbind takes the claim's name (forget) or only its uid out.
	unbind, forget bool
	// wake looks at the claim again, which has to finish the binding.
	wake bool
}

// planVolume decides about one volume. claim is the one that it refers to by
// name; nil: there is none.
func planVolume(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) volumePlan {
	ref := v.Spec.ClaimRef
	switch {
	case ref == nil:
		return volumePlan{phase: corev1.VolumeAvailable}
	case ref.UID == "": // set aside by a user for a claim to come
		return volumePlan{phase: corev1.VolumeAvailable, wake: claim != nil}
	case claim == nil || claim.UID != ref.UID:
		return planReleased(v)
	case claim.Spec.VolumeName == "":
		return volumePlan{phase: v.Status.Phase, message: v.Status.Message, wake: true}
	case claim.Spec.VolumeName == v.Name:
		return volumePlan{phase: corev1.VolumeBound, wake: claim.Status.Phase != corev1.ClaimBound}
	}
	// The claim went elsewhere.
	if _, made := v.Annotations[storage.ProvisionedBy]; made && v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
		return planReleased(v)
	}
	_, ours := v.Annotations[storage.BoundByController]
	return volumePlan{phase: corev1.VolumeAvailable, unbind: true, forget: ours}
}

// planReleased reclaims a volume whose claim is gone, as its policy says. What
// a provisioner made, the provisioner deletes.
func planReleased(v *corev1.PersistentVolume) volumePlan {
	out := volumePlan{phase: corev1.VolumeReleased, message: v.Status.Message}
	_, made := v.Annotations[storage.ProvisionedBy]
	fail := func(reason, message string) volumePlan {
		return volumePlan{phase: corev1.VolumeFailed, message: message, note: &note{true, reason, message}}
	}
	switch v.Spec.PersistentVolumeReclaimPolicy {
	case corev1.PersistentVolumeReclaimDelete:
		if !made {
			return fail("VolumeFailedDelete", fmt.Sprintf("error getting deleter volume plugin for volume %q: no deletable volume plugin matched", v.Name))
		}
	case corev1.PersistentVolumeReclaimRecycle:
		return fail("VolumeFailedRecycle", "no volume plugin matched")
	}
	return out
}
