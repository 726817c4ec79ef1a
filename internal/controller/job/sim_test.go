package job

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// world is a cluster reduced to one job and its pods.
type world struct {
	now    time.Time
	job    *batchv1.Job
	pods   map[types.UID]*corev1.Pod
	made   int
	log    []string
	writes int // left before the controller is killed; negative for never
	wait   time.Duration

	succeeded, failed int // pods that ended so, or were deleted by somebody
}

func newWorld(parallelism int32, completions *int32) *world {
	backoff, no, mode := int32(6), false, batchv1.NonIndexedCompletion
	replacement := batchv1.TerminatingOrFailed
	return &world{
		now: time.Unix(10_000, 0), pods: map[types.UID]*corev1.Pod{}, writes: -1,
		job: &batchv1.Job{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job", UID: "job"},
			Spec: batchv1.JobSpec{
				Parallelism: &parallelism, Completions: completions, BackoffLimit: &backoff, Suspend: &no, CompletionMode: &mode,
				PodReplacementPolicy: &replacement,
				Template:             corev1.PodTemplateSpec{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "i"}}}},
			},
		},
	}
}

func (w *world) list() []*corev1.Pod {
	var out []*corev1.Pod
	for _, uid := range slices.Sorted(maps.Keys(w.pods)) {
		out = append(out, w.pods[uid])
	}
	return out
}

// dead takes one write off; true once the controller is to be dead.
func (w *world) dead() bool {
	if w.writes == 0 {
		return true
	}
	w.writes--
	return false
}

// reconcile is one run of the controller, which may be killed on the way.
func (w *world) reconcile() {
	if finished(&w.job.Status) {
		return
	}
	p := next(input{job: w.job, pods: w.list(), now: w.now})
	w.wait = p.wait
	for _, s := range p.create {
		if w.dead() {
			return
		}
		w.create(s)
	}
	for _, pod := range p.drop {
		if w.dead() {
			return
		}
		w.change(pod.UID, func(p *corev1.Pod) { p.Finalizers, p.DeletionTimestamp = nil, &metav1.Time{Time: w.now} })
		w.say("drop %s", pod.Name)
	}
	for _, pod := range p.stop {
		if w.dead() {
			return
		}
		w.change(pod.UID, func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: w.now} })
		w.failed++
		w.say("stop %s", pod.Name)
	}
	if w.dead() {
		return
	}
	w.setStatus(p.status)
	for _, e := range p.events {
		w.say("%s %s: %s", e.typ, e.reason, e.message)
	}
	for _, pod := range p.strip {
		if w.dead() {
			return
		}
		w.change(pod.UID, func(p *corev1.Pod) { p.Finalizers = nil })
		w.say("count %s", pod.Name)
	}
	if w.dead() {
		return
	}
	status, _ := p.conclude(settle(p.status, isTracked(w.list()), indexed(w.job)))
	w.setStatus(status)
}

// setStatus takes what the API server would take of it.
func (w *world) setStatus(s batchv1.JobStatus) {
	if s.Ready != nil && *s.Ready > s.Active {
		w.say("refused: %d ready, %d active", *s.Ready, s.Active)
		return
	}
	if finished(&s) && s.StartTime == nil {
		w.say("refused: finished, and never started")
		return
	}
	w.job = w.job.DeepCopy()
	w.job.Status = s
}

func (w *world) create(s slot) {
	w.made++
	pod := newPod(w.job, s)
	pod.Name, pod.UID = fmt.Sprintf("p%02d", w.made), types.UID(fmt.Sprintf("%03d", w.made))
	pod.CreationTimestamp, pod.Status.Phase = metav1.NewTime(w.now), corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(w.now)}}
	w.pods[pod.UID] = pod
	line := "create " + pod.Name
	if s.index >= 0 {
		line += fmt.Sprintf(" of index %d", s.index)
	}
	if s.failures+s.ignored > 0 {
		line += fmt.Sprintf(" after %d failures, %d ignored", s.failures, s.ignored)
	}
	w.say("%s", line)
}

func (w *world) say(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

func (w *world) change(uid types.UID, fn func(*corev1.Pod)) {
	changed := w.pods[uid].DeepCopy()
	fn(changed)
	w.pods[uid] = changed
}

// end lets a pod's container exit.
func (w *world) end(uid types.UID, code int32) {
	pod := w.pods[uid]
	if pod == nil || pod.Status.Phase != corev1.PodRunning {
		return
	}
	counted := pod.DeletionTimestamp != nil && (!tracked(pod) || !onlyReplaceFailed(w.job)) // told already
	w.change(uid, func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodSucceeded
		if code != 0 {
			p.Status.Phase = corev1.PodFailed
		}
		p.Status.Conditions[0].Status = corev1.ConditionFalse
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: code, FinishedAt: metav1.NewTime(w.now)},
		}}}
	})
	switch {
	case counted && code == 0 && tracked(pod) && !w.listed(uid):
		// The controller has not looked since the pod was deleted, and sees
		// only that it succeeded.
		w.failed--
		w.succeeded++
	case counted:
	case code == 0:
		w.succeeded++
	default:
		w.failed++
	}
}

// listed tells whether the job's status has the pod among those that failed.
func (w *world) listed(uid types.UID) bool {
	u := w.job.Status.UncountedTerminatedPods
	return u != nil && slices.Contains(u.Failed, uid)
}

// sweep removes pods that are being deleted and held by nothing.
func (w *world) sweep() {
	for uid, pod := range w.pods {
		if pod.DeletionTimestamp != nil && !tracked(pod) {
			delete(w.pods, uid)
		}
	}
}

func (w *world) describe() string {
	var b strings.Builder
	for _, line := range w.log {
		fmt.Fprintln(&b, line)
	}
	w.log = nil
	for _, pod := range w.list() {
		if pod.Status.Phase == corev1.PodRunning {
			fmt.Fprintf(&b, "%s runs", pod.Name)
			if pod.DeletionTimestamp != nil {
				b.WriteString(", terminating")
			}
			b.WriteByte('\n')
		}
	}
	s := w.job.Status
	fmt.Fprintf(&b, "status: %d active, %d succeeded, %d failed", s.Active, s.Succeeded, s.Failed)
	if indexed(w.job) {
		fmt.Fprintf(&b, ", completed indexes %q", s.CompletedIndexes)
	}
	if s.FailedIndexes != nil {
		fmt.Fprintf(&b, ", failed indexes %q", *s.FailedIndexes)
	}
	b.WriteByte('\n')
	for _, c := range s.Conditions {
		fmt.Fprintf(&b, "%s %s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	if w.wait > 0 {
		fmt.Fprintf(&b, "looks again in %s\n", w.wait)
	}
	return b.String()
}
