package statefulset

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/controller/internal/batch"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/controller/internal/podwrite"
)

// apply does a plan: what is not a creation in order, creations (of which an
// ordered set plans one at a time) several at once.
func (r *Controller) apply(ctx context.Context, set *appsv1.StatefulSet, actions []action) error {
	var creates []action
	for _, a := range actions {
		if a.verb == create {
			creates = append(creates, a)
			continue
		}
		if err := r.do(ctx, set, a); err != nil {
			return err
		}
	}
	_, err := batch.SlowStart(len(creates), func(i int) error { return r.create(ctx, set, creates[i]) })
	if podwrite.Pointless(err) {
		return nil // nothing can be created any more, and nothing need be
	}
	return err
}

func (r *Controller) do(ctx context.Context, set *appsv1.StatefulSet, a action) error {
	switch a.verb {
	case replace:
		if a.pod.Status.Phase == corev1.PodFailed {
			r.events.Eventf(set, corev1.EventTypeWarning, "RecreatingFailedPod", "StatefulSet %s/%s is recreating failed Pod %s", set.Namespace, set.Name, a.pod.Name)
		} else {
			r.events.Eventf(set, corev1.EventTypeNormal, "RecreatingTerminatedPod", "StatefulSet %s/%s is recreating terminated Pod %s", set.Namespace, set.Name, a.pod.Name)
		}
		return r.remove(ctx, set, a.pod)
	case remove:
		return r.remove(ctx, set, a.pod)
	case label:
		out, err := r.pods.Update(ctx, a.pod)
		if err == nil {
			r.expects.Created(own.KeyOf(set), out)
		}
		return r.told(set, "Update", "update", a.pod.Name, err)
	case claim:
		return r.createClaims(ctx, set, a)
	case disown:
		for _, c := range a.claims {
			if _, err := r.claims.Update(ctx, c); err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("owners of claim %s: %w", c.Name, err)
			}
		}
	case foreign:
		for _, c := range a.claims {
			r.events.Eventf(set, corev1.EventTypeWarning, "ConflictingController",
				"PersistentVolumeClaim %s has a conflicting OwnerReference that acts as a managing controller, the retention policy is ignored for this claim", c.Name)
		}
	}
	return nil
}

func (r *Controller) create(ctx context.Context, set *appsv1.StatefulSet, a action) error {
	if err := r.createClaims(ctx, set, a); err != nil {
		return err
	}
	made, err := r.pods.Create(ctx, a.pod)
	if podwrite.Pointless(err) {
		return err
	}
	if err == nil {
		r.expects.Created(own.KeyOf(set), made)
	}
	return r.told(set, "Create", "create", a.pod.Name, err)
}

// createClaims makes what is missing; a claim that is there by now is as good,
// unless it is about to go.
func (r *Controller) createClaims(ctx context.Context, set *appsv1.StatefulSet, a action) error {
	for _, c := range a.claims {
		_, err := r.claims.Create(ctx, c)
		if apierrors.IsAlreadyExists(err) {
			there, gerr := r.claims.Get(ctx, c.Namespace, c.Name)
			if gerr != nil {
				return gerr
			}
			if there.DeletionTimestamp != nil {
				return fmt.Errorf("claim %s is being deleted", c.Name)
			}
			continue
		}
		if podwrite.Pointless(err) {
			return err
		}
		if err != nil {
			r.events.Eventf(set, corev1.EventTypeWarning, "FailedCreate", "create Claim %s for Pod %s in StatefulSet %s failed error: %v", c.Name, a.pod.Name, set.Name, err)
			return err
		}
		r.events.Eventf(set, corev1.EventTypeNormal, "SuccessfulCreate", "create Claim %s Pod %s in StatefulSet %s success", c.Name, a.pod.Name, set.Name)
	}
	return nil
}

func (r *Controller) remove(ctx context.Context, set *appsv1.StatefulSet, pod *corev1.Pod) error {
	key := own.KeyOf(set)
	r.expects.Deleting(key, pod)
	err := r.pods.Delete(ctx, pod.Namespace, pod.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		r.expects.Failed(key, pod)
	}
	return r.told(set, "Delete", "delete", pod.Name, err)
}

// told reports what became of a write to a pod, and hands its error on.
func (r *Controller) told(set *appsv1.StatefulSet, reason, verb, pod string, err error) error {
	if err != nil {
		r.events.Eventf(set, corev1.EventTypeWarning, "Failed"+reason, "%s Pod %s in StatefulSet %s failed error: %v", verb, pod, set.Name, err)
		return err
	}
	r.events.Eventf(set, corev1.EventTypeNormal, "Successful"+reason, "%s Pod %s in StatefulSet %s successful", verb, pod, set.Name)
	return nil
}
