package plugins

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	volumehelpers "k8s.io/component-helpers/storage/volume"
)

// Volumes are what the storage plugins look up, from memory. One that is nil
// finds nothing.
type Volumes struct {
	Claim      func(namespace, name string) *corev1.PersistentVolumeClaim
	Volume     func(name string) *corev1.PersistentVolume
	All        func() []*corev1.PersistentVolume
	Class      func(name string) *storagev1.StorageClass
	Driver     func(name string) *storagev1.CSIDriver
	Node       func(name string) *storagev1.CSINode
	Capacities func() []*storagev1.CSIStorageCapacity
	// Promised are the changes that were decided and that the API does not
	// show yet.
	Promised *Promises
}

// Promises are volumes and nodes that claims were promised by attempts whose
// writes are under way. They belong to the scheduler's goroutine.
type Promises struct {
	Volumes map[string]ClaimKey // the claim that a volume is for
	Nodes   map[ClaimKey]string // the node that a claim's volume is made for
}

// ClaimKey names a claim.
type ClaimKey struct{ Namespace, Name string }

// NewPromises makes an empty set.
func NewPromises() *Promises {
	return &Promises{Volumes: map[string]ClaimKey{}, Nodes: map[ClaimKey]string{}}
}

// claimName is the name of the claim that a volume of a pod uses; empty where
// it uses none.
func claimName(pod *corev1.Pod, v *corev1.Volume) string {
	switch {
	case v.PersistentVolumeClaim != nil:
		return v.PersistentVolumeClaim.ClaimName
	case v.Ephemeral != nil:
		return pod.Name + "-" + v.Name
	}
	return ""
}

// claimsOf are the claims of a pod that exist.
func (s *Volumes) claimsOf(pod *corev1.Pod) []*corev1.PersistentVolumeClaim {
	var out []*corev1.PersistentVolumeClaim
	if s.Claim == nil {
		return nil
	}
	for i := range pod.Spec.Volumes {
		if name := claimName(pod, &pod.Spec.Volumes[i]); name != "" {
			if c := s.Claim(pod.Namespace, name); c != nil {
				out = append(out, c)
			}
		}
	}
	return out
}

// boundVolume is the volume of a claim that is wholly bound to it.
func (s *Volumes) boundVolume(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	if !bound(claim) || s.Volume == nil {
		return nil
	}
	return s.Volume(claim.Spec.VolumeName)
}

func bound(claim *corev1.PersistentVolumeClaim) bool {
	_, done := claim.Annotations[volumehelpers.AnnBindCompleted]
	return claim.Spec.VolumeName != "" && done
}

// classOf is a claim's class; nil where it has none or it is gone.
func (s *Volumes) classOf(claim *corev1.PersistentVolumeClaim) *storagev1.StorageClass {
	name := volumehelpers.GetPersistentVolumeClaimClass(claim)
	if name == "" || s.Class == nil {
		return nil
	}
	return s.Class(name)
}

// waits tells whether a class's volumes are bound when a pod needs them.
func waits(class *storagev1.StorageClass) bool {
	return class != nil && class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}
