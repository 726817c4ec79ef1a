// Package storage holds what the storage controllers say of claims and
// volumes in common. All of it is pure but the index.
//
// The annotations are how binder, scheduler and provisioners hand work to each
// other; their names and values are upstream's.
package storage

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/client"
)

// Annotations of claims and volumes.
const (
	// BindCompleted on a claim: both sides of its binding were written once.
	BindCompleted = "pv.kubernetes.io/bind-completed"
	// BoundByController on either side: the binder chose, not a user.
	BoundByController = "pv.kubernetes.io/bound-by-controller"
	// ProvisionedBy on a volume names who made it.
	ProvisionedBy = "pv.kubernetes.io/provisioned-by"
	// SelectedNode on a claim is the node that the scheduler chose for the
	// first pod that uses it.
	SelectedNode = "volume.kubernetes.io/selected-node"
	// Provisioner on a claim asks the provisioner of that name for a volume;
	// the older name is written too.
	Provisioner     = "volume.kubernetes.io/storage-provisioner"
	BetaProvisioner = "volume.beta.kubernetes.io/storage-provisioner"
	// DefaultClass marks the class of claims that name none.
	DefaultClass     = "storageclass.kubernetes.io/is-default-class"
	betaDefaultClass = "storageclass.beta.kubernetes.io/is-default-class"
)

// ClassOf is the class that a claim names; empty for none. named tells
// whether it says anything at all, be it the empty class.
func ClassOf(claim *corev1.PersistentVolumeClaim) (class string, named bool) {
	if class, has := claim.Annotations[corev1.BetaStorageClassAnnotation]; has {
		return class, true
	}
	if claim.Spec.StorageClassName != nil {
		return *claim.Spec.StorageClassName, true
	}
	return "", false
}

// VolumeClassOf is the class of a volume; empty for none.
func VolumeClassOf(volume *corev1.PersistentVolume) string {
	if class, has := volume.Annotations[corev1.BetaStorageClassAnnotation]; has {
		return class
	}
	return volume.Spec.StorageClassName
}

// Default is the newest class that is marked as default, of equal ones the
// first by name; nil for none.
func Default(classes []*storagev1.StorageClass) *storagev1.StorageClass {
	var out *storagev1.StorageClass
	for _, c := range classes {
		if c.Annotations[DefaultClass] != "true" && c.Annotations[betaDefaultClass] != "true" {
			continue
		}
		switch {
		case out == nil, out.CreationTimestamp.Before(&c.CreationTimestamp):
			out = c
		case out.CreationTimestamp.Equal(&c.CreationTimestamp) && c.Name < out.Name:
			out = c
		}
	}
	return out
}

// Waits tells whether a class leaves its claims unbound until a pod needs
// them.
func Waits(class *storagev1.StorageClass) bool {
	return class != nil && class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}

// Refers tells whether a volume's claim reference names the claim; one
// without a uid is meant for whoever has the name.
func Refers(volume *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	ref := volume.Spec.ClaimRef
	return ref != nil && ref.Namespace == claim.Namespace && ref.Name == claim.Name && (ref.UID == "" || ref.UID == claim.UID)
}

// ByClaim is the name of the index of pods by the claims that they use.
const ByClaim = "claim"

// IndexByClaim keeps the pods of each claim findable, by its key's text.
func IndexByClaim(pods *client.Informer[*corev1.Pod]) { pods.AddIndex(ByClaim, ClaimsOf) }

// ClaimsOf are the claims that a pod's volumes name, as namespace/name.
func ClaimsOf(pod *corev1.Pod) []string {
	var out []string
	for _, key := range KeysOf(pod) {
		out = append(out, key.String())
	}
	return out
}

// KeysOf are the keys of the claims that a pod's volumes name.
func KeysOf(pod *corev1.Pod) []types.NamespacedName {
	var out []types.NamespacedName
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		switch {
		case v.PersistentVolumeClaim != nil:
			out = append(out, types.NamespacedName{Namespace: pod.Namespace, Name: v.PersistentVolumeClaim.ClaimName})
		case v.Ephemeral != nil:
			out = append(out, types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name + "-" + v.Name})
		}
	}
	return out
}
