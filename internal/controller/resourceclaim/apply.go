package resourceclaim

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/controller/internal/podwrite"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// pod carries a pod's plan out.
func (r *Controller) pod(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	pod, ok := r.podInf.Get(key.Namespace, key.Name)
	if !ok {
		r.made.Forget(key)
		return reconcile.Result{}, nil
	}
	if !r.made.Settled(key) {
		return reconcile.Result{RequeueAfter: r.made.Patience()}, nil
	}
	plan, failed := planPod(pod, r.known())
	for _, entry := range slices.Sorted(maps.Keys(plan.create)) {
		made, err := r.claims.Create(ctx, plan.create[entry])
		if podwrite.Pointless(err) {
			return reconcile.Result{}, nil
		}
		if err != nil {
			failed = &failure{entry, fmt.Errorf("create ResourceClaim: %w", err)}
			break
		}
		r.made.Created(key, made)
		plan.found[entry] = made.Name
	}
	if err := r.tell(ctx, pod, plan.found); err != nil {
		return reconcile.Result{}, wrap(err, "naming the claims of pod", key)
	}
	for _, claim := range plan.reserve {
		if _, err := r.claims.UpdateStatus(ctx, claim); err != nil {
			return reconcile.Result{}, wrap(err, "reserving a claim for pod", key)
		}
	}
	if failed != nil {
		r.events.Event(pod, corev1.EventTypeWarning, "FailedResourceClaimCreation", failed.Error())
		return reconcile.Result{}, wrap(failed, "pod", key)
	}
	return reconcile.Result{}, nil
}

// tell merges names of claims into the pod's status.
func (r *Controller) tell(ctx context.Context, pod *corev1.Pod, found map[string]string) error {
	if len(found) == 0 {
		return nil
	}
	var statuses []corev1.PodResourceClaimStatus
	for _, entry := range slices.Sorted(maps.Keys(found)) {
		name := found[entry]
		statuses = append(statuses, corev1.PodResourceClaimStatus{Name: entry, ResourceClaimName: &name})
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status":   map[string]any{"resourceClaimStatuses": statuses},
	})
	if err != nil {
		return fmt.Errorf("encode the status: %w", err)
	}
	_, err = r.pods.Patch(ctx, pod.Namespace, pod.Name, types.StrategicMergePatchType, patch, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // gone, or another pod has its name: the informer tells
	}
	return err
}

// claim carries a claim's plan out.
func (r *Controller) claim(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	claim, ok := r.claimInf.Get(key.Namespace, key.Name)
	if !ok {
		return reconcile.Result{}, nil
	}
	var failed error
	plan := planClaim(claim, func(ref resourcev1.ResourceClaimConsumerReference) bool {
		alive, err := r.alive(ctx, key.Namespace, ref)
		if err != nil {
			failed = err
		}
		return alive
	}, r.owner(claim))
	if failed != nil {
		return reconcile.Result{}, wrap(failed, "looking for the consumers of claim", key)
	}
	err := r.release(ctx, claim, plan)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		err = nil // the informer tells what it is like now
	}
	return reconcile.Result{}, wrap(err, "releasing claim", key)
}

// alive tells whether the very pod of a reservation may use its claims. One
// that the informer does not show is asked for: the scheduler may be ahead.
func (r *Controller) alive(ctx context.Context, namespace string, ref resourcev1.ResourceClaimConsumerReference) (bool, error) {
	pod, ok := r.podInf.Get(namespace, ref.Name)
	if !ok {
		var err error
		pod, err = r.pods.Get(ctx, namespace, ref.Name)
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return true, err
		}
	}
	return pod.UID == ref.UID && !done(pod), nil
}

// owner is the pod of the name for which a claim was generated; nil where
// there is none.
func (r *Controller) owner(claim *resourcev1.ResourceClaim) *corev1.Pod {
	ref := metav1.GetControllerOfNoCopy(claim)
	if ref == nil || ref.Kind != "Pod" {
		return nil
	}
	pod, _ := r.podInf.Get(claim.Namespace, ref.Name)
	return pod
}

// release writes a plan.
func (r *Controller) release(ctx context.Context, claim *resourcev1.ResourceClaim, plan claimPlan) error {
	var err error
	if plan.status != nil {
		if claim, err = r.claims.UpdateStatus(ctx, plan.status); err != nil {
			return err
		}
	}
	if plan.free {
		freed := claim.DeepCopy()
		freed.Finalizers = slices.DeleteFunc(freed.Finalizers, func(f string) bool { return f == resourcev1.Finalizer })
		if claim, err = r.claims.Update(ctx, freed); err != nil {
			return err
		}
	}
	if !plan.remove {
		return nil
	}
	return r.claims.Delete(ctx, claim.Namespace, claim.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(claim.UID))})
}
