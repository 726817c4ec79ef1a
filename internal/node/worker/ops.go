package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/podstate"
	"github.com/knarr-io/knarr/internal/node/render"
	"github.com/knarr-io/knarr/internal/node/volumes"
)

// Delays between tries to prepare volumes and sandbox.
const (
	firstMountDelay = 500 * time.Millisecond
	maxMountDelay   = 2 * time.Minute
)

// mountPatience is how long volumes may take before an event tells of it, as upstream.
const mountPatience = 2*time.Minute + 3*time.Second

// maxBeforeStop bounds the wait for the service rules: most of the grace
// period is the container's own.
const maxBeforeStop = 5 * time.Second

// launch carries out an action beside the worker. The functions below run on
// goroutines of their own with a copy of what they need; what they return
// runs on the worker's goroutine and takes the result in.
func (w *Worker) launch(a podstate.Action, now time.Time) {
	w.view.Ops[a.Op] = now.Add(a.Grace)
	var do func() func()
	switch a.Kind {
	case podstate.MountVolumes:
		do = w.mountVolumes(w.starting)
	case podstate.RunSandbox:
		do = w.runSandbox(a)
	case podstate.AdmitSandbox:
		do = w.admitSandbox(a)
	case podstate.PullImage:
		do = w.pullImage(a)
	case podstate.StartContainer:
		do = w.startContainer(a, now)
	case podstate.StopContainer:
		if a.Replace {
			w.view.Replaced[a.Target] = true
		}
		do = w.stopContainer(a, now)
	case podstate.RemoveContainer:
		do = w.removeContainer(a)
	case podstate.ResizeContainer:
		do = w.resizeContainer(a)
	case podstate.BeforeStop:
		do = w.beforeStop()
	case podstate.StopSandbox:
		do = w.stopSandbox(a)
	case podstate.Release:
		do = w.release()
	}
	w.ops.Go(func() {
		apply := do()
		w.logger.Debug("action done", "action", a.Kind, "target", a.Target, "took", time.Since(now))
		w.post(func() {
			delete(w.view.Ops, a.Op)
			apply()
		})
	})
}

// retryLater puts off the next try to prepare volumes and sandbox.
func (w *Worker) retryLater() {
	w.mounts = min(max(2*w.mounts, firstMountDelay), maxMountDelay)
	w.view.NotBefore[""] = time.Now().Add(w.mounts)
}

func (w *Worker) mountVolumes(ctx context.Context) func() func() {
	pod, in, again := w.view.Pod, volumes.Input{Allocatable: w.deps.allocatable()}, w.view.VolumesReady
	return func() func() {
		defer w.tellHung(pod)()
		var mounted map[string]volumes.Mounted
		missing := withoutDevices(pod)
		err := missing
		if err == nil && !again {
			err = w.pullVolumes(ctx, pod)
		}
		if err == nil {
			mounted, err = w.deps.Volumes.Mount(ctx, pod, in)
		}
		return func() {
			w.renew = w.deps.Volumes.RenewAt(w.uid)
			switch {
			case err == nil:
				w.volumes, w.view.VolumesReady, w.mounts = mounted, true, 0
				delete(w.view.NotBefore, "")
				if !again {
					w.forgetVolumePulls(pod)
				}
			case ctx.Err() == nil:
				w.retryLater()
				w.remount = again
				switch {
				case missing != nil:
					w.deps.podEvent(pod, corev1.EventTypeWarning, "FailedPrepareDynamicResources", "Failed to prepare dynamic resources: "+missing.Error())
				case !w.volumePullFailed(pod, err):
					w.deps.podEvent(pod, corev1.EventTypeWarning, "FailedMount", err.Error())
				}
			}
		}
	}
}

// withoutDevices fails for a pod with claims for devices: the node has no
// drivers that could prepare them, and without them the pod must not run.
func withoutDevices(pod *corev1.Pod) error {
	if len(pod.Spec.ResourceClaims) == 0 {
		return nil
	}
	return fmt.Errorf("claim %s: this node asks no drivers for devices: let the pod run on a node that does", pod.Spec.ResourceClaims[0].Name)
}

// tellHung tells an event when volumes take too long, again and again until
// the function that it returns is called. The pod waits; others do not.
func (w *Worker) tellHung(pod *corev1.Pod) (done func()) {
	if len(pod.Spec.Volumes) == 0 {
		return func() {}
	}
	names := make([]string, len(pod.Spec.Volumes))
	for i := range pod.Spec.Volumes {
		names[i] = pod.Spec.Volumes[i].Name
	}
	patience := w.deps.MountPatience
	if patience <= 0 {
		patience = mountPatience
	}
	mounted := make(chan struct{})
	go func() {
		again := time.NewTicker(patience)
		defer again.Stop()
		for {
			select {
			case <-mounted:
				return
			case <-again.C:
				w.deps.podEvent(pod, corev1.EventTypeWarning, "FailedMount", fmt.Sprintf(
					"Unable to attach or mount volumes: unmounted volumes=%v, unattached volumes=[], failed to process volumes=[]: still under way after %s", names, patience))
			}
		}
	}()
	return func() { close(mounted) }
}

// refresh brings volumes up to date when what they show has changed, and says
// when it has to be done again.
func (w *Worker) refresh(now time.Time) time.Time {
	if w.view.Stop != nil || !w.view.VolumesReady || podstate.Terminal(w.view, now) {
		return time.Time{}
	}
	op := podstate.Op{Kind: podstate.MountVolumes}
	_, busy := w.view.Ops[op]
	switch due := w.remount || (!w.renew.IsZero() && !now.Before(w.renew)); {
	case !due:
		return w.renew
	case busy:
		return time.Time{} // the end of the one under way asks again
	case now.Before(w.view.NotBefore[""]):
		return w.view.NotBefore[""]
	}
	w.remount = false
	w.renew = time.Time{}
	w.launch(podstate.Action{Op: op}, now)
	return time.Time{}
}

func (w *Worker) runSandbox(a podstate.Action) func() func() {
	pod, again := w.view.Allocated.Apply(w.view.Pod), len(w.view.Sandboxes) > 0
	find := w.madeBefore()
	return func() func() {
		if again {
			w.deps.podEvent(pod, corev1.EventTypeNormal, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
		}
		var id string
		w.ensureCgroup(pod)
		began := time.Now()
		handler, cfg, err := w.sandboxConfig(pod, a.Attempt)
		if err == nil {
			err = makeLogDir(cfg.GetLogDirectory())
		}
		if err == nil {
			id, err = find()
		}
		if err == nil && id == "" {
			id, err = w.deps.Runtime.RunSandbox(w.ctx, cfg, handler)
		}
		w.deps.Metrics.SandboxRun(handler, time.Since(began), err)
		if err != nil {
			return func() {
				w.deps.podEvent(pod, corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: "+cri.Message(err))
				w.retryLater()
			}
		}
		st, err := w.deps.Runtime.SandboxStatus(w.ctx, id)
		return func() {
			if err != nil {
				w.logger.Warn("sandbox status is unknown", "sandbox", id, "error", err)
				w.retryLater()
				return
			}
			w.mounts, w.view.Whole = 0, pod.Spec.Resources
			w.observe(st.GetStatus(), st.GetContainersStatuses())
		}
	}
}

func (w *Worker) sandboxInput(pod *corev1.Pod, attempt uint32) render.SandboxInput {
	return render.SandboxInput{
		Pod: pod, Attempt: attempt, LogRoot: w.deps.LogRoot, NodeName: w.deps.NodeName, Cluster: w.deps.Cluster,
		HostResolver: w.deps.HostResolver(), Profiles: w.deps.Profiles,
		CgroupParent: render.CgroupParent(w.deps.CgroupRoot, pod),
	}
}

// ensureCgroup makes the pod's cgroup. A pod can do without: its containers
// keep their own limits.
func (w *Worker) ensureCgroup(pod *corev1.Pod) {
	if w.deps.Cgroups == nil {
		return
	}
	if err := w.deps.Cgroups.Ensure(pod); err != nil {
		w.logger.Warn("pod runs without a cgroup of its own", "error", err)
	}
}

func (w *Worker) removeContainer(a podstate.Action) func() func() {
	return func() func() {
		err := w.deps.Runtime.RemoveContainer(w.ctx, a.Target)
		return func() {
			if err != nil {
				w.logger.Warn("ended container is not removed", "container", a.Container, "id", a.Target, "error", err)
			}
			// Even then: it is tried again when the pod is removed.
			w.forgetContainer(a.Target)
		}
	}
}

func (w *Worker) beforeStop() func() func() {
	pod, wait := w.view.Pod, min(time.Until(w.view.Stop.Deadline)/2, maxBeforeStop)
	return func() func() {
		if w.deps.BeforeStop != nil {
			ctx, cancel := context.WithTimeout(w.ctx, wait)
			defer cancel()
			if err := w.deps.BeforeStop(ctx, pod); err != nil && !errors.Is(err, context.Canceled) {
				w.logger.Warn("pod ends before it has left the service rules", "error", err)
			}
		}
		return func() { w.view.BeforeStopDone = true }
	}
}

func (w *Worker) stopSandbox(a podstate.Action) func() func() {
	pod := w.view.Pod
	return func() func() {
		err := w.deps.Runtime.StopSandbox(w.ctx, a.Target)
		st, statusErr := w.deps.Runtime.SandboxStatus(w.ctx, a.Target)
		return func() {
			switch {
			case err != nil:
				w.deps.podEvent(pod, corev1.EventTypeWarning, "FailedKillPod", "error killing pod: "+cri.Message(err))
				w.view.NotBefore[podstate.ReleaseKey] = time.Now().Add(time.Second)
			case cri.IsNotFound(statusErr):
				w.forgetSandbox(a.Target)
			case statusErr != nil:
				w.sandboxStopped(a.Target)
			default:
				w.observe(st.GetStatus(), st.GetContainersStatuses())
			}
		}
	}
}

func (w *Worker) release() func() func() {
	pod := w.view.Pod
	return func() func() {
		err := errors.Join(w.deps.Volumes.Release(w.uid), w.deps.Users.Release(w.uid))
		if err == nil && w.deps.Cgroups != nil {
			err = w.deps.Cgroups.Remove(pod)
		}
		return func() {
			if err != nil {
				w.logger.Warn("pod's volumes and cgroups are not released yet", "error", err)
				w.view.NotBefore[podstate.ReleaseKey] = time.Now().Add(time.Second)
				return
			}
			w.view.Released = true
			w.deps.Objects.Use(w.uid, nil, nil)
		}
	}
}
