package job

import (
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/controller/internal/pods"
	"github.com/knarr-io/knarr/internal/controller/internal/replicas"
)

// burst is the most pods created in one run, as upstream's.
const burst = 500

// slot is a pod to be created.
type slot struct {
	index             int // -1 for none
	failures, ignored int // of the index so far
}

// lookAtIndexes finds out which indexes are done, which have failed for good,
// and which failed pods must stay until their successor carries their count on
// (KEP-3850).
func (p *planner) lookAtIndexes() {
	n := completions(p.job)
	p.done = parse(p.status.CompletedIndexes, n)
	var fresh []int
	for _, pod := range p.newSucceeded {
		fresh = append(fresh, indexOf(pod))
	}
	p.done = p.done.with(fresh)
	p.succeeded = p.done.total()
	if !perIndex(p.job) {
		return
	}
	if p.status.FailedIndexes != nil {
		p.lost = parse(*p.status.FailedIndexes, n)
	}
	fresh = nil
	for _, pod := range p.newFailed {
		if !p.done.has(indexOf(pod)) && p.failsIndex(pod) {
			fresh = append(fresh, indexOf(pod))
		}
	}
	p.lost = p.lost.with(fresh)
	p.delay()
}

// failsIndex tells whether a failed pod was the last try of its index.
func (p *planner) failsIndex(pod *corev1.Pod) bool {
	switch judge(p.job, pod).action {
	case batchv1.PodFailurePolicyActionFailIndex:
		return true
	case batchv1.PodFailurePolicyActionIgnore:
		return false
	}
	return counter(pod, batchv1.JobIndexFailureCountAnnotation) >= int(*p.job.Spec.BackoffLimitPerIndex)
}

// delay picks, per index that is to be tried again, the pod with the highest
// count.
func (p *planner) delay() {
	p.delayed = map[int]*corev1.Pod{}
	replaced := map[int]bool{}
	for _, pod := range p.active {
		replaced[indexOf(pod)] = true
	}
	for _, pod := range p.newFailed {
		i := indexOf(pod)
		if p.done.has(i) || p.lost.has(i) || replaced[i] {
			continue
		}
		if have := p.delayed[i]; have == nil || tries(pod) > tries(have) || tries(pod) == tries(have) && finishedAt(pod).After(finishedAt(have)) {
			p.delayed[i] = pod
		}
	}
}

func tries(pod *corev1.Pod) int {
	return counter(pod, batchv1.JobIndexFailureCountAnnotation) + counter(pod, batchv1.JobIndexIgnoredFailureCountAnnotation)
}

// slots are at most n pods to be created now.
func (p *planner) slots(n int) []slot {
	if !perIndex(p.job) {
		if pause := pauseOf(p.pods, p.job, p.now); pause > 0 {
			p.soon(pause)
			return nil
		}
	}
	if !indexed(p.job) {
		return slices.Repeat([]slot{{index: -1}}, n)
	}
	taken := p.taken()
	var out []slot
	for i := 0; i < completions(p.job) && len(out) < n; i++ {
		if p.done.has(i) || p.lost.has(i) || taken[i] {
			continue
		}
		s, pause := p.slot(i)
		if pause > 0 {
			p.soon(pause)
			continue
		}
		out = append(out, s)
	}
	return out
}

// taken are the indexes that have a pod which must not be doubled.
func (p *planner) taken() map[int]bool {
	out := map[int]bool{}
	for _, pod := range p.pods {
		if pods.Active(pod) || onlyReplaceFailed(p.job) && pods.Terminating(pod) {
			out[indexOf(pod)] = true
		}
	}
	return out
}

// slot is the next try of an index, and for how long it is to wait.
func (p *planner) slot(index int) (slot, time.Duration) {
	s := slot{index: index}
	before := p.delayed[index]
	if before == nil {
		return s, 0
	}
	s.failures = counter(before, batchv1.JobIndexFailureCountAnnotation)
	s.ignored = counter(before, batchv1.JobIndexIgnoredFailureCountAnnotation)
	if judge(p.job, before).counts() {
		s.failures++
	} else {
		s.ignored++
	}
	return s, pauseAfter(s.failures+s.ignored, finishedAt(before), p.now)
}

// tooMany are the active pods that must go: those of no use, and n in all, the
// least valuable first.
func (p *planner) tooMany(n int) []*corev1.Pod {
	if !indexed(p.job) && n == 0 {
		return nil
	}
	if !indexed(p.job) {
		return bounded(replicas.ToRemove(p.active, nil, n, p.now))
	}
	ranked := replicas.ToRemove(p.active, nil, max(0, len(p.active)-1), p.now)
	for _, pod := range p.active { // the most valuable one is last
		if !slices.Contains(ranked, pod) {
			ranked = append(ranked, pod)
		}
	}
	var out, useful []*corev1.Pod
	seen := map[int]bool{}
	for _, pod := range slices.Backward(ranked) {
		i := indexOf(pod)
		if !p.inRange(pod) || seen[i] || p.done.has(i) || p.lost.has(i) {
			out = append(out, pod)
			continue
		}
		seen[i] = true
		useful = append(useful, pod)
	}
	slices.Reverse(useful)
	for _, pod := range useful {
		if len(out) >= n {
			break
		}
		out = append(out, pod)
	}
	return bounded(out)
}

func bounded(list []*corev1.Pod) []*corev1.Pod { return list[:min(len(list), burst)] }
