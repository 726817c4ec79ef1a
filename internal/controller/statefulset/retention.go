package statefulset

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/controller/internal/own"
)

// claimOwners are the owner references that a claim of an ordinal should have
// beside those that are not ours, so that garbage collection removes it when
// the set's retention policy says so (KEP-1847): with the set where it goes
// with the set, with the pod where the pod is being scaled away. pod is nil
// where there is none. ok is false where somebody else controls the claim.
func claimOwners(set *appsv1.StatefulSet, pod *corev1.Pod, ordinal int, have []metav1.OwnerReference) (want []metav1.OwnerReference, ok bool) {
	scaled, deleted := policy(set)
	condemned := !inRange(set, ordinal)
	bySet, byPod := deleted && !(scaled && condemned), scaled && condemned
	for _, ref := range have {
		ours := ref.UID == set.UID || isPodOf(set, ref, ordinal)
		if !ours {
			if ref.Controller != nil && *ref.Controller {
				return have, false
			}
			want = append(want, ref)
		}
	}
	if bySet {
		want = append(want, own.Ref(set, gvk()))
	}
	if byPod && pod != nil {
		want = append(want, own.Ref(pod, corev1.SchemeGroupVersion.WithKind("Pod")))
	}
	return want, true
}

func isPodOf(set *appsv1.StatefulSet, ref metav1.OwnerReference, ordinal int) bool {
	return ref.Kind == "Pod" && ref.APIVersion == "v1" && ref.Name == podName(set, ordinal)
}

// policy tells whether claims go when their pod is scaled away, and whether
// they go with the set.
func policy(set *appsv1.StatefulSet) (scaled, deleted bool) {
	p := set.Spec.PersistentVolumeClaimRetentionPolicy
	if p == nil {
		return false, false
	}
	const remove = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	return p.WhenScaled == remove, p.WhenDeleted == remove
}

// stale tells whether a claim is about to go with a former pod of the name:
// a new pod must not take it into use.
func stale(set *appsv1.StatefulSet, pod *corev1.Pod, ordinal int, claim *corev1.PersistentVolumeClaim) bool {
	if claim.DeletionTimestamp != nil {
		return true
	}
	return slices.ContainsFunc(claim.OwnerReferences, func(ref metav1.OwnerReference) bool {
		return isPodOf(set, ref, ordinal) && (pod == nil || ref.UID != pod.UID)
	})
}

// owned is the claim with the owners that it should have; nil where nothing is
// to be changed, and foreign where somebody else controls it.
func owned(set *appsv1.StatefulSet, pod *corev1.Pod, ordinal int, claim *corev1.PersistentVolumeClaim) (changed *corev1.PersistentVolumeClaim, foreign bool) {
	want, ok := claimOwners(set, pod, ordinal, claim.OwnerReferences)
	if !ok {
		scaled, deleted := policy(set)
		return nil, scaled || deleted
	}
	if equality.Semantic.DeepEqual(want, claim.OwnerReferences) {
		return nil, false
	}
	out := claim.DeepCopy()
	out.OwnerReferences = want
	return out, false
}
