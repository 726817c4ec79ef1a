package garbage

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ownerState is what became of an owner.
type ownerState int

const (
	ownerThere   ownerState = iota
	ownerAbsent             // gone, or another object has its name
	ownerWaiting            // being deleted in the foreground: it waits for its dependents
)

// verdict is what is to happen to a dependent.
type verdict struct {
	// drop are references to take off: those to owners that are gone or
	// waiting, while another owner stays.
	drop []types.UID
	// remove deletes the object under the policy.
	remove bool
	policy metav1.DeletionPropagation
	// unblock makes the object's references stop blocking first, so that two
	// objects that wait for each other both go.
	unblock bool
}

// judge decides about a dependent from the state of each of its owners.
// hasDependents and waits (one of them waits for its own dependents) matter
// where an owner waits for this object.
func judge(obj metav1.Object, states map[types.UID]ownerState, hasDependents, waits bool) verdict {
	var there, absent, waiting []types.UID
	for _, ref := range obj.GetOwnerReferences() {
		switch states[ref.UID] {
		case ownerThere:
			there = append(there, ref.UID)
		case ownerAbsent:
			absent = append(absent, ref.UID)
		case ownerWaiting:
			waiting = append(waiting, ref.UID)
		}
	}
	switch {
	case len(there)+len(absent)+len(waiting) == 0:
		return verdict{}
	case len(there) > 0:
		return verdict{drop: append(absent, waiting...)}
	case len(waiting) > 0 && hasDependents:
		return verdict{remove: true, policy: metav1.DeletePropagationForeground, unblock: waits}
	}
	return verdict{remove: true, policy: policyOf(obj)}
}

// policyOf keeps to what an earlier deletion of the object asked for.
func policyOf(obj metav1.Object) metav1.DeletionPropagation {
	switch {
	case slices.Contains(obj.GetFinalizers(), metav1.FinalizerOrphanDependents):
		return metav1.DeletePropagationOrphan
	case slices.Contains(obj.GetFinalizers(), metav1.FinalizerDeleteDependents):
		return metav1.DeletePropagationForeground
	}
	return metav1.DeletePropagationBackground
}

// waitsForDependents tells whether the object is being deleted in the
// foreground.
func waitsForDependents(obj metav1.Object) bool {
	return obj.GetDeletionTimestamp() != nil && slices.Contains(obj.GetFinalizers(), metav1.FinalizerDeleteDependents)
}

// orphansDependents tells whether the object's deletion waits for its
// dependents to be let go.
func orphansDependents(obj metav1.Object) bool {
	return obj.GetDeletionTimestamp() != nil && slices.Contains(obj.GetFinalizers(), metav1.FinalizerOrphanDependents)
}
