package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/node/measure"
	"github.com/knarr-io/knarr/internal/node/objects"
	"github.com/knarr-io/knarr/internal/node/podstate"
	"github.com/knarr-io/knarr/internal/node/render"
	"github.com/knarr-io/knarr/internal/node/volumes"
)

// Worker owns one pod. Its methods that the Manager calls only leave a
// message; everything else runs on the worker's goroutine.
type Worker struct {
	deps   *Deps
	uid    types.UID
	logger *slog.Logger
	wake   chan struct{}

	mail struct {
		sync.Mutex
		box []func()
		// pod is the newest that the API told; only the last one counts.
		pod *corev1.Pod
		// over is set when nothing is read any more.
		over bool
	}

	// What follows belongs to run's goroutine.
	view     *podstate.View
	ctx      context.Context // ends with the agent
	starting context.Context // ends when the pod is to end
	stop     context.CancelFunc
	ending   context.Context // of preStop hooks: ends when nothing of the pod is left
	ops      sync.WaitGroup
	probes   map[probeKey]*prober
	volumes  map[string]volumes.Mounted
	users    map[string]render.ImageUser // of images, by container
	pulls    map[string]time.Duration    // last pull delay, by container
	// pullRetry is when a failed pull may be tried again, by container.
	pullRetry map[string]time.Time
	mounts    time.Duration        // next delay of volumes and sandbox
	told      map[string]bool      // instances whose back-off was told
	seen      map[string]time.Time // when a container or sandbox was first seen
	renew     time.Time            // when volumes are to be written again
	remount   bool                 // volumes have to be brought up to date
	status    statusWriter
	// static is set for a static pod: as its manifest says, without status.
	static *corev1.Pod
	mirror mirrorKeeper
	// resizing is set from the start of a resize until its end was told.
	resizing bool
	// pulled are the times of pulls before the pod ran.
	pulled []measure.Span
	// waiters are told when an instance has ended, idle when nothing runs and nothing is held.
	waiters map[string][]chan struct{}
	idle    []chan struct{}
}

func newWorker(d *Deps, pod *corev1.Pod) *Worker {
	w := &Worker{
		deps: d, uid: pod.UID, wake: make(chan struct{}, 1),
		logger: d.Logger.With("pod", pod.Namespace+"/"+pod.Name, "uid", pod.UID),
		view:   podstate.NewView(pod), probes: map[probeKey]*prober{}, users: map[string]render.ImageUser{},
		pulls: map[string]time.Duration{}, pullRetry: map[string]time.Time{}, told: map[string]bool{}, seen: map[string]time.Time{},
		waiters: map[string][]chan struct{}{},
	}
	w.view.HostIPs = d.HostIPs
	w.view.CrashDelay = d.CrashDelay
	w.view.RuntimeName = d.RuntimeName
	w.view.NeedsAdmission = d.Admit != nil && !pod.Spec.HostNetwork
	w.view.FirstSeen = time.Now()
	return w
}

// post leaves a message for the worker's goroutine; false where the worker has
// ended and nobody will read it.
func (w *Worker) post(fn func()) bool {
	w.mail.Lock()
	defer w.mail.Unlock()
	if w.mail.over {
		return false
	}
	w.mail.box = append(w.mail.box, fn)
	w.signal()
	return true
}

// closeMail reads what has come since the last step, so that whoever asked is
// answered, and lets nothing more come.
func (w *Worker) closeMail() {
	w.mail.Lock()
	box := w.mail.box
	w.mail.box, w.mail.pod, w.mail.over = nil, nil, true
	w.mail.Unlock()
	for _, fn := range box {
		fn()
	}
	w.tellAllEnded()
}

func (w *Worker) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// update tells that the pod changed at the API.
func (w *Worker) update(pod *corev1.Pod) {
	w.mail.Lock()
	w.mail.pod = pod
	w.mail.Unlock()
	w.signal()
}

// gone tells that the API holds the pod no more; last is its last state.
func (w *Worker) gone(last *corev1.Pod) {
	w.post(func() { w.begin(podstate.StopFor(last, true, time.Now())) })
}

// run is the worker's life; it returns when nothing of the pod is left, or
// when ctx ends: then the pod runs on.
func (w *Worker) run(ctx context.Context) {
	w.ctx = ctx
	w.starting, w.stop = context.WithCancel(ctx)
	ending, ended := context.WithCancel(ctx)
	w.ending = ending
	defer w.ops.Wait()
	defer ended()
	defer w.stop()
	defer w.stopProbes()
	defer w.closeMail()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	w.follow()
	for {
		next, done := w.step()
		if done {
			w.finish()
			return
		}
		timer.Reset(until(next))
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-timer.C:
		}
		w.takeMail()
	}
}

// until is the time to the next step; a worker without one looks again after
// an hour, which costs nothing and repairs a missed wake-up.
func until(next time.Time) time.Duration {
	if next.IsZero() {
		return time.Hour
	}
	return max(time.Until(next), 0)
}

// step does what is to be done now and says when to ask again.
func (w *Worker) step() (next time.Time, done bool) {
	now := time.Now()
	plan := podstate.Next(w.view, now)
	w.view.Lean = false
	for _, a := range plan.Actions {
		w.launch(a, now)
	}
	w.syncProbes()
	w.tellBackOff(now)
	w.tellResized()
	next = earliest(plan.Wake, w.refresh(now), w.publish(now, plan.Done))
	w.tellIdle()
	if w.view.Stop == nil && podstate.Terminal(w.view, now) {
		w.stop()
	}
	return next, plan.Done && w.deleted()
}

func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

func (w *Worker) takeMail() {
	w.mail.Lock()
	box, pod := w.mail.box, w.mail.pod
	w.mail.box, w.mail.pod = nil, nil
	w.mail.Unlock()
	if pod != nil {
		w.setPod(pod)
	}
	for _, fn := range box {
		fn()
	}
}

// setPod takes in a newer state of the pod.
func (w *Worker) setPod(pod *corev1.Pod) {
	old := w.view.Pod
	if older(pod, old) {
		return
	}
	w.view.Pod = pod
	if pod.DeletionTimestamp != nil {
		w.begin(podstate.StopFor(pod, false, time.Now()))
	}
	if pod.Generation != old.Generation || !sameText(pod, old) {
		w.forgetImages(old, pod)
		w.follow()
		w.remount = w.view.VolumesReady
	}
}

// sameText tells whether labels and annotations are as they were: volumes and
// environments show them.
func sameText(a, b *corev1.Pod) bool {
	return sameMap(a.Labels, b.Labels) && sameMap(a.Annotations, b.Annotations)
}

func sameMap(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if other, ok := b[k]; !ok || other != v {
			return false
		}
	}
	return true
}

// begin makes the pod end, or end sooner.
func (w *Worker) begin(s *podstate.Stop) {
	old := w.view.Stop
	if old == nil {
		w.view.Stop = s
		w.stop()
		return
	}
	merged := *old
	merged.Gone = old.Gone || s.Gone
	if s.Deadline.Before(old.Deadline) {
		merged.Deadline = s.Deadline
	}
	w.view.Stop = &merged
}

// follow watches the objects that the pod refers to.
func (w *Worker) follow() {
	pod := w.view.Pod
	if podstate.Terminal(w.view, time.Now()) {
		w.deps.Objects.Use(w.uid, nil, nil)
		return
	}
	refs := volumes.Refs(pod)
	for c := range render.Containers(pod) {
		configMaps, secrets := render.EnvRefs(c)
		for _, name := range configMaps {
			refs = append(refs, objects.Ref{Kind: objects.ConfigMap, Namespace: pod.Namespace, Name: name})
		}
		for _, name := range secrets {
			refs = append(refs, objects.Ref{Kind: objects.Secret, Namespace: pod.Namespace, Name: name})
		}
	}
	w.deps.Objects.Use(w.uid, refs, func() { w.post(w.objectChanged) })
}

// objectChanged tries at once what may have waited for the object.
func (w *Worker) objectChanged() {
	clear(w.view.NotBefore)
	for name, at := range w.pullRetry {
		w.view.NotBefore[name] = at
	}
	w.remount = w.view.VolumesReady
}

// finish forgets the pod, after its last action.
func (w *Worker) finish() {
	w.deps.Objects.Use(w.uid, nil, nil)
	w.deps.Metrics.Forget(w.view.Pod)
	w.removeTraces()
}
