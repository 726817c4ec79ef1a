package job

import (
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// mostUncounted bounds the list of pods under way to be counted, as upstream
// does.
const mostUncounted = 500

// track puts pods that ended on the list of those to be counted, and their
// finalizers on the list of those to be taken off.
func (p *planner) track() {
	u := p.status.UncountedTerminatedPods
	known := map[types.UID]bool{}
	for _, uid := range slices.Concat(u.Succeeded, u.Failed) {
		known[uid] = true
	}
	fresh := 0
	for _, pod := range p.pods {
		if !tracked(pod) || !p.over(pod) {
			continue
		}
		if len(u.Succeeded)+len(u.Failed)+fresh >= mostUncounted && !known[pod.UID] {
			p.rest++
			continue
		}
		p.strip = append(p.strip, pod)
		switch {
		case known[pod.UID] || !p.inRange(pod):
		case pod.Status.Phase == corev1.PodSucceeded && indexed(p.job):
			fresh++ // counted by its index
		case pod.Status.Phase == corev1.PodSucceeded:
			u.Succeeded = append(u.Succeeded, pod.UID)
		case judge(p.job, pod).counts():
			u.Failed = append(u.Failed, pod.UID)
		}
	}
	p.showIndexes()
}

// over tells whether the pod can be counted.
func (p *planner) over(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodSucceeded {
		return true
	}
	if !hasFailed(p.job, pod) {
		return false
	}
	return p.finish != nil || p.delayed[indexOf(pod)] != pod
}

func (p *planner) showIndexes() {
	if !indexed(p.job) {
		return
	}
	p.status.CompletedIndexes = p.done.String()
	p.status.Succeeded = int32(p.done.total())
	if perIndex(p.job) {
		text := p.lost.String()
		p.status.FailedIndexes = &text
	}
}

// settle counts the pods of the list that have lost their finalizer. Those of
// an indexed job that succeeded are counted by index instead.
func settle(s batchv1.JobStatus, still func(types.UID) bool, byIndex bool) batchv1.JobStatus {
	u := s.UncountedTerminatedPods
	if u == nil {
		return s
	}
	left := batchv1.UncountedTerminatedPods{}
	for _, uid := range u.Succeeded {
		if still(uid) {
			left.Succeeded = append(left.Succeeded, uid)
		} else if !byIndex {
			s.Succeeded++
		}
	}
	for _, uid := range u.Failed {
		if still(uid) {
			left.Failed = append(left.Failed, uid)
		} else {
			s.Failed++
		}
	}
	s.UncountedTerminatedPods = &left
	return s
}

// isTracked tells whether a pod of the list has its finalizer.
func isTracked(list []*corev1.Pod) func(types.UID) bool {
	have := make(map[types.UID]bool, len(list))
	for _, pod := range list {
		if tracked(pod) {
			have[pod.UID] = true
		}
	}
	return func(uid types.UID) bool { return have[uid] }
}

// conclude adds the last condition once nothing is left to be counted or
// stopped; ended tells whether it did.
func (p plan) conclude(s batchv1.JobStatus) (out batchv1.JobStatus, ended bool) {
	u := s.UncountedTerminatedPods
	if p.finish == nil || p.rest > 0 || u == nil || len(u.Succeeded)+len(u.Failed) > 0 {
		return s, false
	}
	s.Conditions = append(slices.Clone(s.Conditions), *p.finish)
	if p.finish.Type == batchv1.JobComplete {
		at := p.finish.LastTransitionTime
		s.CompletionTime = &at
	}
	return s, true
}
