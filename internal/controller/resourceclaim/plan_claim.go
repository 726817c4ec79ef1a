package resourceclaim

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// claimPlan is what is to be taken off a claim, in this order. Each write may
// be the last before a crash: the next run finds what is left.
type claimPlan struct {
	// status is the claim with its new status; nil: it stays.
	status *resourcev1.ResourceClaim
	// free takes the finalizer off.
	free bool
	// remove deletes the claim: its pod will not need it.
	remove bool
}

// planClaim tells what a claim no longer needs. alive tells whether a
// reservation's pod may still use it; owner is the pod that the claim was
// generated for, nil where it is not known (the garbage collector sees to
// claims of pods that are gone).
func planClaim(claim *resourcev1.ResourceClaim, alive func(resourcev1.ResourceClaimConsumerReference) bool, owner *corev1.Pod) claimPlan {
	var p claimPlan
	remaining := slices.DeleteFunc(slices.Clone(claim.Status.ReservedFor), func(ref resourcev1.ResourceClaimConsumerReference) bool {
		return ref.APIGroup == "" && ref.Resource == "pods" && !alive(ref)
	})
	ours := slices.Contains(claim.Finalizers, resourcev1.Finalizer)
	released := len(remaining) < len(claim.Status.ReservedFor)
	unused := len(remaining) == 0
	going := claim.DeletionTimestamp != nil
	// An allocation ends with its last consumer, or with a claim that goes
	// unused. One that nobody ever used stays: drivers may make such.
	deallocate := ours && unused && (released || going) && claim.Status.Allocation != nil
	if released || deallocate {
		p.status = claim.DeepCopy()
		p.status.Status.ReservedFor = remaining
		if deallocate {
			p.status.Status.Allocation = nil
		}
	}
	allocated := claim.Status.Allocation != nil && !deallocate
	p.free = ours && unused && (going || released) && !allocated
	if unused && !going && owner != nil {
		p.remove = !metav1.IsControlledBy(claim, owner) || done(owner)
	}
	return p
}
