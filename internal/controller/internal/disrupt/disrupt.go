// Package disrupt tells, on a pod, why the control plane takes it away.
package disrupt

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller/internal/pods"
)

// Mark sets the DisruptionTarget condition and, where fail is set, the phase
// Failed of a pod that is not finished. A pod that is gone needs no mark.
func Mark(ctx context.Context, all client.Typed[*corev1.Pod], pod *corev1.Pod, reason, message string, fail bool) error {
	changed := pod.DeepCopy()
	dirty := false
	if c := pods.Condition(changed, corev1.DisruptionTarget); c == nil {
		changed.Status.Conditions = append(changed.Status.Conditions, corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason, Message: message,
			ObservedGeneration: pod.Generation, LastTransitionTime: metav1.Now(),
		})
		dirty = true
	} else if c.Status != corev1.ConditionTrue {
		c.Status, c.Reason, c.Message, c.LastTransitionTime = corev1.ConditionTrue, reason, message, metav1.Now()
		dirty = true
	}
	if fail && !pods.Finished(changed) {
		changed.Status.Phase = corev1.PodFailed
		dirty = true
	}
	if !dirty {
		return nil
	}
	_, err := all.UpdateStatus(ctx, changed)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
