// Package pods holds what several controllers ask of a pod. All but
// IndexByNode are pure.
package pods

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/client"
)

// ByNode is the name of the index of pods by spec.nodeName.
const ByNode = "node"

// IndexByNode keeps the pods of each node findable.
func IndexByNode(inf *client.Informer[*corev1.Pod]) {
	inf.AddIndex(ByNode, func(pod *corev1.Pod) []string {
		if pod.Spec.NodeName == "" {
			return nil
		}
		return []string{pod.Spec.NodeName}
	})
}

// Condition is the pod's condition of a type; nil when it has none.
func Condition(pod *corev1.Pod, typ corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == typ {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// Ready tells whether the pod's Ready condition is true.
func Ready(pod *corev1.Pod) bool {
	c := Condition(pod, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

// ReadySince is when the pod became ready; zero when it is not.
func ReadySince(pod *corev1.Pod) time.Time {
	c := Condition(pod, corev1.PodReady)
	if c == nil || c.Status != corev1.ConditionTrue {
		return time.Time{}
	}
	return c.LastTransitionTime.Time
}

// Available tells whether the pod has been ready for so many seconds. Where
// it is ready but not yet for so long, wait is what is missing.
func Available(pod *corev1.Pod, minReadySeconds int32, now time.Time) (ok bool, wait time.Duration) {
	c := Condition(pod, corev1.PodReady)
	if c == nil || c.Status != corev1.ConditionTrue {
		return false, 0
	}
	if minReadySeconds == 0 {
		return true, 0
	}
	if c.LastTransitionTime.IsZero() {
		return false, 0
	}
	due := c.LastTransitionTime.Add(time.Duration(minReadySeconds) * time.Second)
	if due.After(now) {
		return false, due.Sub(now)
	}
	return true, 0
}

// Finished tells whether the pod's work is over.
func Finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// Active tells whether the pod counts as a replica: it is neither finished
// nor being deleted.
func Active(pod *corev1.Pod) bool { return !Finished(pod) && pod.DeletionTimestamp == nil }

// Terminating tells whether the pod is being deleted and not finished yet.
func Terminating(pod *corev1.Pod) bool { return !Finished(pod) && pod.DeletionTimestamp != nil }
