package job

import (
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/controller/internal/pods"
)

const finalizer = batchv1.JobTrackingFinalizer

func tracked(pod *corev1.Pod) bool { return slices.Contains(pod.Finalizers, finalizer) }

// indexOf is the pod's completion index; -1 for none or one that cannot be.
func indexOf(pod *corev1.Pod) int {
	n, err := strconv.Atoi(pod.Annotations[batchv1.JobCompletionIndexAnnotation])
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// counter reads a number that a pod carries over from its predecessors.
func counter(pod *corev1.Pod, name string) int {
	n, err := strconv.Atoi(pod.Annotations[name])
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// onlyReplaceFailed tells whether a pod counts as failed, and is replaced,
// only once it has ended, and not from its deletion on (KEP-3939).
func onlyReplaceFailed(j *batchv1.Job) bool {
	return j.Spec.PodFailurePolicy != nil || j.Spec.PodReplacementPolicy != nil && *j.Spec.PodReplacementPolicy == batchv1.Failed
}

// hasFailed tells whether a pod counts as failed.
func hasFailed(j *batchv1.Job, pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodFailed {
		return true
	}
	return !onlyReplaceFailed(j) && pod.DeletionTimestamp != nil && pod.Status.Phase != corev1.PodSucceeded
}

// finishedAt is when a pod ended, as near as its status tells.
func finishedAt(pod *corev1.Pod) time.Time {
	var last time.Time
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range list {
			if t := list[i].State.Terminated; t != nil && t.FinishedAt.After(last) {
				last = t.FinishedAt.Time
			}
		}
	}
	switch {
	case !last.IsZero():
		return last
	case pods.Condition(pod, corev1.PodReady) != nil:
		return pods.Condition(pod, corev1.PodReady).LastTransitionTime.Time
	case pod.DeletionTimestamp != nil:
		return pod.DeletionTimestamp.Time
	}
	return pod.CreationTimestamp.Time
}

// The pause before pods that failed are replaced, as upstream's.
const (
	firstPause = 10 * time.Second
	mostPause  = 10 * time.Minute
)

// pauseAfter is what is left of the pause after so many failures in a row.
func pauseAfter(failures int, last, now time.Time) time.Duration {
	if failures == 0 {
		return 0
	}
	length := mostPause
	if failures <= 7 { // 10 s * 2^6 is beyond ten minutes
		length = min(firstPause<<(failures-1), mostPause)
	}
	return max(0, last.Add(length).Sub(now))
}

// pauseOf is what is left of a job's pause: after the failures since its last
// success.
func pauseOf(all []*corev1.Pod, j *batchv1.Job, now time.Time) time.Duration {
	var success, failure time.Time
	for _, pod := range all {
		if pod.Status.Phase == corev1.PodSucceeded && finishedAt(pod).After(success) {
			success = finishedAt(pod)
		}
	}
	failures := 0
	for _, pod := range all {
		at := finishedAt(pod)
		if pod.Status.Phase == corev1.PodSucceeded || !hasFailed(j, pod) || !tracked(pod) && pod.Status.Phase != corev1.PodFailed || !at.After(success) {
			continue
		}
		failures++
		if at.After(failure) {
			failure = at
		}
	}
	return pauseAfter(failures, failure, now)
}
