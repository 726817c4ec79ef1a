package job

import (
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/controller/internal/pods"
)

// input is everything that a plan looks at. Nothing in it is changed.
type input struct {
	job  *batchv1.Job
	pods []*corev1.Pod // that the job controls
	now  time.Time
}

// plan is the next step. It is taken in this order: pods, status, finalizers,
// and the status once more (see settle).
type plan struct {
	create []slot
	drop   []*corev1.Pod // to delete, not to be counted: they are too many
	stop   []*corev1.Pod // to delete, and to be counted as failed
	strip  []*corev1.Pod // to lose their finalizer: counted, or never to be
	status batchv1.JobStatus
	// finish is the condition with which the job ends as soon as everything
	// is counted and stopped; nil while it runs.
	finish *batchv1.JobCondition
	rest   int           // of pods that remain to be counted or stopped afterwards
	wait   time.Duration // until time alone changes something; zero for never
	events []event
}

type event struct{ typ, reason, message string }

// planner makes a plan; its fields are what it found.
type planner struct {
	input
	plan
	active                  []*corev1.Pod
	terminating, ready      int
	newSucceeded, newFailed []*corev1.Pod // with finalizer, not in the list of uncounted ones
	succeeded, failed       int
	done, lost              indexes // that succeeded, that failed for good
	delayed                 map[int]*corev1.Pod
}

// next plans the next step of a job that is not finished.
func next(in input) plan {
	p := &planner{input: in}
	p.status = *in.job.Status.DeepCopy()
	if in.job.DeletionTimestamp != nil {
		p.letGo()
		return p.plan
	}
	if p.status.UncountedTerminatedPods == nil {
		p.status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{}
	}
	p.status = settle(p.status, isTracked(in.pods), indexed(in.job))
	p.look()
	if p.status.StartTime == nil && !suspended(in.job) {
		p.status.StartTime = stamp(in.now)
	}
	stored := p.decide()
	active := len(p.active)
	switch {
	case p.finish != nil && stored:
		p.stop = p.active
		active = 0
	case p.finish != nil: // what is stopped before the verdict is stored could make for another one
		p.rest += active
	default:
		active = p.manage()
		p.complete(active)
		if p.finish == nil {
			p.markSuspension()
		}
	}
	if p.finish != nil && p.status.StartTime == nil { // it ended while it was held
		p.status.StartTime = stamp(in.now)
	}
	p.track()
	going := slices.Concat(p.stop, p.drop)
	ready, terminating := int32(p.ready-readyOf(going)), int32(p.terminating+len(going))
	p.status.Active, p.status.Ready, p.status.Terminating = int32(active), &ready, &terminating
	p.rest += len(going) + p.terminating
	return p.plan
}

func readyOf(list []*corev1.Pod) int {
	n := 0
	for _, pod := range list {
		if pods.Ready(pod) {
			n++
		}
	}
	return n
}

// letGo takes the finalizers off the pods of a job that is being deleted.
func (p *planner) letGo() {
	for _, pod := range p.pods {
		if tracked(pod) {
			p.strip = append(p.strip, pod)
		}
	}
}

// look sorts the pods.
func (p *planner) look() {
	known := map[types.UID]bool{}
	for _, uid := range p.status.UncountedTerminatedPods.Succeeded {
		known[uid] = true
	}
	for _, uid := range p.status.UncountedTerminatedPods.Failed {
		known[uid] = true
	}
	ignored := 0
	for _, pod := range p.pods {
		switch {
		case pods.Active(pod):
			p.active = append(p.active, pod)
			if pods.Ready(pod) {
				p.ready++
			}
		case pods.Terminating(pod):
			p.terminating++
		}
		if !tracked(pod) || known[pod.UID] || !p.inRange(pod) {
			continue
		}
		if pod.Status.Phase == corev1.PodSucceeded {
			p.newSucceeded = append(p.newSucceeded, pod)
		} else if hasFailed(p.job, pod) {
			p.newFailed = append(p.newFailed, pod)
			if !judge(p.job, pod).counts() {
				ignored++
			}
		}
	}
	uncounted := p.status.UncountedTerminatedPods
	p.succeeded = int(p.status.Succeeded) + len(uncounted.Succeeded) + len(p.newSucceeded)
	p.failed = int(p.status.Failed) + len(uncounted.Failed) + len(p.newFailed) - ignored
	if indexed(p.job) {
		p.lookAtIndexes()
	}
}

// inRange is false for a pod of an index that the job does not have (any
// more): it counts for nothing.
func (p *planner) inRange(pod *corev1.Pod) bool {
	if !indexed(p.job) {
		return true
	}
	i := indexOf(pod)
	return i >= 0 && i < completions(p.job)
}

// manage brings the number of active pods to what is wanted, and gives it.
func (p *planner) manage() int {
	active := len(p.active)
	if suspended(p.job) {
		p.drop = p.active
		return 0
	}
	want := int(*p.job.Spec.Parallelism)
	if p.job.Spec.Completions == nil {
		if p.succeeded > 0 {
			want = active
		}
	} else {
		want = max(0, min(want, completions(p.job)-p.succeeded))
	}
	if p.drop = p.tooMany(max(0, active-want)); len(p.drop) > 0 {
		return active - len(p.drop)
	}
	missing := want - active
	if onlyReplaceFailed(p.job) {
		missing -= p.terminating
	}
	if missing > 0 {
		p.create = p.slots(min(missing, burst))
	}
	return active + len(p.create)
}

// markSuspension shows whether the job is held.
func (p *planner) markSuspension() {
	have := condition(&p.status, batchv1.JobSuspended)
	switch isHeld := have != nil && have.Status == corev1.ConditionTrue; {
	case suspended(p.job) && !isHeld:
		p.setCondition(batchv1.JobSuspended, corev1.ConditionTrue, "JobSuspended", "Job suspended")
		p.status.StartTime = nil // it has none until it runs again (KEP-5440)
		p.tell(corev1.EventTypeNormal, "Suspended", "Job suspended")
	case !suspended(p.job) && isHeld:
		p.setCondition(batchv1.JobSuspended, corev1.ConditionFalse, "JobResumed", "Job resumed")
		p.status.StartTime = stamp(p.now) // the time held does not count against the deadline
		p.tell(corev1.EventTypeNormal, "Resumed", "Job resumed")
	}
}

func (p *planner) tell(typ, reason, format string, args ...any) {
	p.events = append(p.events, event{typ, reason, fmt.Sprintf(format, args...)})
}

// soon comes back after d at the latest.
func (p *planner) soon(d time.Duration) {
	if d > 0 && (p.wait == 0 || d < p.wait) {
		p.wait = d
	}
}
