package volumeprotection

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api"
)

// The finalizers, which admission puts on new objects.
const (
	claimFinalizer  = "kubernetes.io/pvc-protection"
	volumeFinalizer = "kubernetes.io/pv-protection"
	classFinalizer  = "kubernetes.io/vac-protection"
)

// plan gives the finalizers that an object should have; changed is false
// where it has them. used is asked for objects that are being deleted only.
func plan(obj api.Object, finalizer string, used func() bool) (finalizers []string, changed bool) {
	have := obj.GetFinalizers()
	has := slices.Contains(have, finalizer)
	switch {
	case obj.GetDeletionTimestamp() == nil && !has:
		return append(slices.Clone(have), finalizer), true
	case obj.GetDeletionTimestamp() != nil && has && !used():
		return slices.DeleteFunc(slices.Clone(have), func(f string) bool { return f == finalizer }), true
	}
	return have, false
}

// usesClaim tells whether one of the pods, which name the claim, keeps it: a
// pod does from when it has a node. One without will not be started once the
// claim is being deleted.
func usesClaim(pods []*corev1.Pod) bool {
	return slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return pod.Spec.NodeName != "" })
}

// classesOfClaim are the attribute classes that a claim has or moves to.
func classesOfClaim(claim *corev1.PersistentVolumeClaim) []string {
	out := named(nil, claim.Spec.VolumeAttributesClassName)
	out = named(out, claim.Status.CurrentVolumeAttributesClassName)
	if m := claim.Status.ModifyVolumeStatus; m != nil {
		out = named(out, &m.TargetVolumeAttributesClassName)
	}
	return out
}

func classesOfVolume(v *corev1.PersistentVolume) []string {
	return named(nil, v.Spec.VolumeAttributesClassName)
}

func named(list []string, name *string) []string {
	if name == nil || *name == "" || slices.Contains(list, *name) {
		return list
	}
	return append(list, *name)
}
