package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api/optional"
)

// DefaultPersistentVolumeClaimSpec fills unset fields of a claim's spec, in a
// claim, a template of a StatefulSet or an ephemeral volume.
func DefaultPersistentVolumeClaimSpec(s *corev1.PersistentVolumeClaimSpec) {
	optional.Default(&s.VolumeMode, corev1.PersistentVolumeFilesystem)
	roundResources(s.Resources.Limits)
	roundResources(s.Resources.Requests)
}

func defaultPersistentVolumeClaim(c *corev1.PersistentVolumeClaim) {
	DefaultPersistentVolumeClaimSpec(&c.Spec)
	orSet(&c.Status.Phase, corev1.ClaimPending)
	roundResources(c.Status.Capacity)
	roundResources(c.Status.AllocatedResources)
}
