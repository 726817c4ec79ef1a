package worker

import (
	"context"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/measure"
	"github.com/knarr-io/knarr/internal/node/podstate"
)

const (
	// settle is how long steps on the way (a pull, a container being made)
	// wait for more, so that a quick start is one write.
	settle = 100 * time.Millisecond
	// retryWrite is the pause after a write that failed.
	retryWrite = time.Second
)

// statusWriter is the worker's state of writing to the API.
type statusWriter struct {
	busy bool
	// since is when the status began to differ from what the API has.
	since time.Time
	retry time.Time
	// asked is set once the API was asked to delete the pod for good.
	asked bool
	// counted is set once the pod's start was measured.
	counted bool
}

// older tells whether a is an earlier state of the pod than b.
func older(a, b *corev1.Pod) bool {
	x, errA := strconv.ParseUint(a.ResourceVersion, 10, 64)
	y, errB := strconv.ParseUint(b.ResourceVersion, 10, 64)
	return errA == nil && errB == nil && x < y
}

// publish writes the status where it differs from the API's and says when to
// ask again.
func (w *Worker) publish(now time.Time, done bool) time.Time {
	if w.status.busy || (w.view.Stop != nil && w.view.Stop.Gone) {
		return time.Time{}
	}
	if w.static != nil && done {
		return w.mirror.retry // its mirror is about to go
	}
	if ready, next := w.keepMirror(now); !ready {
		return next
	}
	want := podstate.Status(w.view, now)
	if equality.Semantic.DeepEqual(want, w.view.Pod.Status) {
		w.status.since = time.Time{}
		if now.Before(w.status.retry) {
			return w.status.retry // written, though it seemed to fail: the deletion waits as well
		}
		return time.Time{}
	}
	if w.status.since.IsZero() {
		w.status.since = now
	}
	if now.Before(w.status.retry) {
		return w.status.retry
	}
	if due := w.holdUntil(&want, now); now.Before(due) {
		return due
	}
	w.write(want)
	return time.Time{}
}

// holdUntil is when the status has to be written, whatever else is to come.
func (w *Worker) holdUntil(want *corev1.PodStatus, now time.Time) time.Time {
	have := &w.view.Pod.Status
	if until := podstate.Replacing(w.view, now); !until.IsZero() && want.Phase == have.Phase {
		return until
	}
	if w.underway() && !urgent(want, have) {
		return w.status.since.Add(settle)
	}
	return now
}

// underway tells whether the pod is about to change anyway.
func (w *Worker) underway() bool {
	for op := range w.view.Ops {
		switch op.Kind {
		case podstate.MountVolumes, podstate.RunSandbox, podstate.PullImage, podstate.StartContainer:
			return true
		}
	}
	return false
}

// urgent tells changes that somebody waits for.
func urgent(want, have *corev1.PodStatus) bool {
	return want.Phase != have.Phase && have.Phase != "" || readiness(want) != readiness(have)
}

func readiness(s *corev1.PodStatus) bool {
	for i := range s.Conditions {
		if s.Conditions[i].Type == corev1.PodReady {
			return s.Conditions[i].Status == corev1.ConditionTrue
		}
	}
	return false
}

// waits are the times that a pod's start is not blamed for: pulls of images,
// and init containers, sidecars apart.
func (w *Worker) waits(s *corev1.PodStatus) []measure.Span {
	out := slices.Clone(w.pulled)
	for i := range s.InitContainerStatuses {
		if end := s.InitContainerStatuses[i].State.Terminated; end != nil {
			out = append(out, measure.Span{From: end.StartedAt.Time, To: end.FinishedAt.Time})
		}
	}
	return out
}

func (w *Worker) write(status corev1.PodStatus) {
	w.status.busy, w.status.since = true, time.Time{}
	if status.Phase == corev1.PodRunning && w.view.Pod.Status.Phase == corev1.PodPending && !w.status.counted {
		w.status.counted = true
		w.deps.Metrics.PodRunning(w.view.Pod, w.view.FirstSeen, time.Now(), w.waits(&status)...)
	}
	pod := w.subject().DeepCopy()
	pod.Status = status
	w.mirror.final = w.mirror.final || podEnded(pod)
	w.ops.Go(func() {
		written, err := client.For[*corev1.Pod](w.deps.Client).UpdateStatus(w.ctx, pod)
		if apierrors.IsConflict(err) {
			// The pod changed meanwhile: the next status starts from its newest state.
			written, err = client.For[*corev1.Pod](w.deps.Client).Get(w.ctx, pod.Namespace, pod.Name)
		}
		w.post(func() { w.wrote(written, err) })
	})
}

func (w *Worker) wrote(pod *corev1.Pod, err error) {
	w.status.busy = false
	if w.static != nil {
		w.mirrorWritten(pod, err)
		return
	}
	switch {
	case err == nil && pod.UID == w.uid:
		w.setPod(pod)
	case err == nil, apierrors.IsNotFound(err):
		w.vanished()
	case apierrors.IsForbidden(err):
		// A node may not read a pod that is gone: the watch will tell.
		w.logger.Debug("pod status is refused", "error", err)
		w.status.retry = time.Now().Add(retryWrite)
	default:
		w.logger.Warn("pod status is not written", "error", err)
		w.status.retry = time.Now().Add(retryWrite)
	}
}

// vanished takes in that the API does not hold the pod any more.
func (w *Worker) vanished() {
	w.begin(podstate.StopFor(w.view.Pod, true, time.Now()))
}

// deleted asks the API to delete a pod that has ended, once its last status is
// written, and tells whether it has.
func (w *Worker) deleted() bool {
	if w.view.Stop.Gone {
		return true
	}
	if w.static != nil {
		return w.withoutMirror()
	}
	if w.status.busy || w.status.asked || !w.status.since.IsZero() || time.Now().Before(w.status.retry) {
		return false
	}
	w.status.asked = true
	pod := w.view.Pod
	w.ops.Go(func() {
		err := deleteNow(w.ctx, w.deps.Client, pod)
		w.post(func() {
			switch {
			case err == nil && len(pod.Finalizers) == 0:
				w.vanished()
			case err != nil:
				w.logger.Warn("ended pod is not deleted", "error", err)
				w.status.asked = false
				w.status.retry = time.Now().Add(retryWrite)
				time.AfterFunc(retryWrite, w.signal)
			}
		})
	})
	return false
}

// deleteNow deletes the pod, and only this one, without further grace.
func deleteNow(ctx context.Context, c *client.Client, pod *corev1.Pod) error {
	now := int64(0)
	err := client.For[*corev1.Pod](c).Delete(ctx, pod.Namespace, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
