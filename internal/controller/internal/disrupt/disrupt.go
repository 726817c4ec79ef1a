// Package disrupt tells, on a pod, why the control plane takes it away.
package disrupt

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller/internal/pods"
)

// Mark sets the DisruptionTarget condition and, where fail is set, the phase
// Failed of a pod that is not finished. A pod that is gone needs no mark. It
// patches the status, which is what its callers are allowed to do.
func Mark(ctx context.Context, all client.Typed[*corev1.Pod], pod *corev1.Pod, reason, message string, fail bool) error {
	return write(ctx, all, pod, plan(pod, reason, message, fail, time.Now()))
}

// Fail sets the phase Failed of a pod that is not finished, without a reason:
// nothing disrupts it, it only cannot report its end itself.
func Fail(ctx context.Context, all client.Typed[*corev1.Pod], pod *corev1.Pod) error {
	if pods.Finished(pod) {
		return nil
	}
	return write(ctx, all, pod, map[string]any{"phase": corev1.PodFailed})
}

func write(ctx context.Context, all client.Typed[*corev1.Pod], pod *corev1.Pod, status map[string]any) error {
	if len(status) == 0 {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return fmt.Errorf("encoding the mark: %w", err)
	}
	_, err = all.Patch(ctx, pod.Namespace, pod.Name, types.StrategicMergePatchType, patch, "status")
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// plan is the part of the status that is to change; empty for none.
func plan(pod *corev1.Pod, reason, message string, fail bool, now time.Time) map[string]any {
	status := map[string]any{}
	if c := pods.Condition(pod, corev1.DisruptionTarget); c == nil || c.Status != corev1.ConditionTrue {
		status["conditions"] = []corev1.PodCondition{{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason, Message: message,
			ObservedGeneration: pod.Generation, LastTransitionTime: metav1.NewTime(now),
		}}
	}
	if fail && !pods.Finished(pod) {
		status["phase"] = corev1.PodFailed
	}
	return status
}
