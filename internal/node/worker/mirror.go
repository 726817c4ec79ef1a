package worker

import (
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/static"
)

// maxMirrorRetry bounds the pause between tries to make or delete a mirror.
const maxMirrorRetry = time.Minute

// errNameTaken: somebody's pod is not replaced by a mirror.
var errNameTaken = errors.New("a pod of its name is there already, which is no mirror")

// mirrorKeeper is what a static pod's worker knows of its mirror.
type mirrorKeeper struct {
	pod   *corev1.Pod // as the API last told; nil: there is none
	busy  bool        // being made or deleted
	final bool        // this worker has written a final phase
	pause time.Duration
	retry time.Time
}

// subject is the Pod of the API that the worker reports on: the pod itself,
// or a static pod's mirror, which may be nil.
func (w *Worker) subject() *corev1.Pod {
	if w.static == nil {
		return w.view.Pod
	}
	return w.mirror.pod
}

// setMirror takes in the mirror's newest state; nil: it is gone.
func (w *Worker) setMirror(mirror *corev1.Pod) {
	if known := w.mirror.pod; known != nil && mirror != nil && known.UID == mirror.UID && older(mirror, known) {
		return
	}
	w.mirror.pod = mirror
	if mirror != nil && !w.shows(mirror) {
		mirror = nil
	}
	w.view.Pod = static.With(w.static, mirror)
}

// shows tells whether the mirror is that of the pod as this worker runs it: one
// that ended before, with the node for example, runs anew.
func (w *Worker) shows(mirror *corev1.Pod) bool {
	return static.Of(mirror, w.static) && (w.mirror.final || !podEnded(mirror))
}

// keepMirror makes the mirror where there is none, and replaces one that
// stands for another manifest or that somebody deletes: the pod runs as long
// as its manifest is there. It tells whether the mirror can be reported on,
// and when to ask again.
func (w *Worker) keepMirror(now time.Time) (ready bool, next time.Time) {
	if w.static == nil {
		return true, time.Time{}
	}
	mirror, node := w.mirror.pod, w.deps.Node()
	fits := mirror != nil && mirror.DeletionTimestamp == nil && w.shows(mirror)
	switch {
	case w.mirror.busy:
		return false, time.Time{}
	case fits:
		return true, time.Time{}
	case now.Before(w.mirror.retry):
		return false, w.mirror.retry
	case mirror != nil:
		w.replaceMirror(mirror)
	case w.view.Stop != nil:
		// One that ends needs none.
	case node == nil:
		return false, now.Add(time.Second) // not registered yet
	default:
		w.makeMirror(static.Mirror(w.static, node))
	}
	return false, time.Time{}
}

func (w *Worker) makeMirror(mirror *corev1.Pod) {
	w.mirror.busy = true
	w.ops.Go(func() {
		made, err := client.For[*corev1.Pod](w.deps.Client).Create(w.ctx, mirror)
		if apierrors.IsAlreadyExists(err) {
			made, err = client.For[*corev1.Pod](w.deps.Client).Get(w.ctx, mirror.Namespace, mirror.Name)
			if err == nil && !static.IsMirror(made) {
				err = errNameTaken
			}
		}
		w.post(func() {
			w.mirrorDone(err, "mirror of a static pod is not made")
			if err == nil {
				w.setMirror(made)
			}
		})
	})
}

func (w *Worker) replaceMirror(mirror *corev1.Pod) {
	w.mirror.busy = true
	w.ops.Go(func() {
		err := deleteNow(w.ctx, w.deps.Client, mirror)
		w.post(func() {
			w.mirrorDone(err, "mirror of a static pod is not deleted")
			if err == nil && w.mirror.pod != nil && w.mirror.pod.UID == mirror.UID {
				w.setMirror(nil)
			}
		})
	})
}

// mirrorDone takes in the end of a write, and puts the next off after an error.
func (w *Worker) mirrorDone(err error, complaint string) {
	w.mirror.busy = false
	if err == nil {
		w.mirror.pause, w.mirror.retry = 0, time.Time{}
		return
	}
	w.mirror.pause = min(max(2*w.mirror.pause, time.Second), maxMirrorRetry)
	w.mirror.retry = time.Now().Add(w.mirror.pause)
	if w.ctx.Err() == nil {
		w.logger.Warn(complaint, "error", err, "again_in", w.mirror.pause)
	}
}

// mirrorWritten takes in the answer to a status of a static pod.
func (w *Worker) mirrorWritten(mirror *corev1.Pod, err error) {
	switch {
	case err == nil:
		w.setMirror(mirror)
	case apierrors.IsNotFound(err):
		w.setMirror(nil)
	default:
		w.logger.Warn("status of a static pod is not written", "error", err)
		w.status.retry = time.Now().Add(retryWrite)
	}
}

// withoutMirror tells that a static pod that has ended is not shown any more,
// and deletes its mirror where it is; without the API the pod ends all the same.
func (w *Worker) withoutMirror() bool {
	if w.mirror.pod == nil || w.mirror.retry.After(time.Now()) {
		return !w.mirror.busy
	}
	if !w.mirror.busy && !w.status.busy {
		w.replaceMirror(w.mirror.pod)
	}
	return false
}
