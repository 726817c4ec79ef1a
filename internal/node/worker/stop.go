package worker

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/lifecycle"
	"github.com/knarr-io/knarr/internal/node/podstate"
	"github.com/knarr-io/knarr/internal/node/render"
)

// minKillGrace is what a container gets after its preStop hook at least.
const minKillGrace = 2 * time.Second

func (w *Worker) stopContainer(a podstate.Action, now time.Time) func() func() {
	pod, podIP := w.view.Pod, first(w.view.PodIPs())
	c := render.Find(pod, a.Container)
	deadline := now.Add(a.Grace)
	return func() func() {
		reason := a.Reason
		if reason == "" {
			reason = "Killing"
		}
		w.deps.containerEvent(pod, a.Container, corev1.EventTypeNormal, reason, a.Message)
		if c != nil && c.Lifecycle != nil && c.Lifecycle.PreStop != nil && a.Grace > 0 {
			w.preStop(pod, c, a.Target, podIP, deadline)
		}
		grace := time.Until(deadline)
		if a.Grace > 0 {
			grace = max(grace, minKillGrace)
		}
		seconds := int64((max(grace, 0) + time.Second - 1) / time.Second)
		err := w.deps.Runtime.StopContainer(w.ctx, a.Target, seconds)
		st, statusErr := w.deps.Runtime.ContainerStatus(w.ctx, a.Target)
		return func() {
			switch {
			case err != nil:
				w.logger.Warn("container does not stop", "container", a.Container, "id", a.Target, "error", err)
				w.view.NotBefore[a.Target] = time.Now().Add(time.Second)
			case cri.IsNotFound(statusErr):
				w.forgetContainer(a.Target)
			default:
				if statusErr == nil {
					w.observeContainer("", st)
				}
				if st.GetState() != runtimeapi.ContainerState_CONTAINER_EXITED {
					// An event or a listing may tell of the end before it is asked to end again.
					w.view.NotBefore[a.Target] = time.Now().Add(time.Second)
				}
			}
		}
	}
}

// preStop runs the hook; the container is stopped whatever becomes of it. A hook
// whose grace was cut may still run when the pod has ended.
func (w *Worker) preStop(pod *corev1.Pod, c *corev1.Container, id, podIP string, deadline time.Time) {
	ctx, cancel := context.WithDeadline(w.ending, deadline)
	defer cancel()
	err := lifecycle.Run(ctx, lifecycle.Target{Runtime: w.deps.Runtime, Container: c, ID: id, PodIP: podIP}, c.Lifecycle.PreStop)
	if err != nil && w.ending.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
		w.deps.containerEvent(pod, c.Name, corev1.EventTypeWarning, "FailedPreStopHook", "PreStopHook failed")
	}
}

// removeTraces removes the pod's logs and makes the runtime forget the pod,
// when the API has forgotten it already. The sandbox goes last: as long as it
// is listed an agent that was killed in between knows what it has to finish.
func (w *Worker) removeTraces() {
	err := os.RemoveAll(render.PodLogDir(w.deps.LogRoot, w.view.Pod))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.logger.Warn("pod's logs are not removed", "error", err)
	}
	for _, s := range w.view.Sandboxes {
		if err := w.deps.Runtime.RemoveSandbox(w.ctx, s.GetId()); err != nil && w.ctx.Err() == nil {
			w.logger.Warn("sandbox is not removed; the next listing tries again", "sandbox", s.GetId(), "error", err)
		}
	}
}

// tellBackOff tells once for every end of a container that its restart waits.
func (w *Worker) tellBackOff(now time.Time) {
	if w.view.Stop != nil || podstate.Terminal(w.view, now) {
		return
	}
	for name := range w.view.Crash {
		i := w.view.Newest(name)
		if i == nil || !i.Exited() || w.told[i.ID()] {
			continue
		}
		if _, starting := w.view.Ops[podstate.Op{Kind: podstate.StartContainer, Target: name}]; starting {
			continue // the back-off is that of the next restart
		}
		if now.Before(i.WaitsUntil(w.view.Crash[name])) {
			w.told[i.ID()] = true
			w.deps.containerEvent(w.view.Pod, name, corev1.EventTypeWarning, "BackOff",
				"Back-off restarting failed container "+name+" in pod "+podstate.PodRef(w.view.Pod))
		}
	}
}
