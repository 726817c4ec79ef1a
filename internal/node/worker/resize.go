package worker

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/podstate"
	"github.com/knarr-io/knarr/internal/node/render"
)

// resizeRetry is the pause after a resize that failed.
const resizeRetry = 5 * time.Second

// resizeLocked decides on a pod that asks for other resources than it has.
func (m *Manager) resizeLocked(e *entry) {
	if e.rejected || e.worker.static != nil || !e.granted.Asks(e.pod) || podEnded(e.pod) {
		delete(m.mu.deferred, e)
		return
	}
	node := m.deps.Node()
	if node == nil {
		return
	}
	pending := podstate.Resize(e.pod, e.granted, m.othersLocked(e.pod), node.Status.Allocatable)
	if pending == nil {
		e.granted = podstate.AllocationOf(&corev1.Pod{Spec: e.pod.Spec})
		delete(m.mu.deferred, e)
	} else if pending.Reason == corev1.PodReasonDeferred {
		m.mu.deferred[e] = true
	} else {
		delete(m.mu.deferred, e)
	}
	granted, pod := e.granted, e.pod
	e.worker.post(func() { e.worker.grant(pod, granted, pending) })
}

// retryLocked looks again at resizes that did not fit, the most important pod
// first.
func (m *Manager) retryLocked() {
	if len(m.mu.deferred) == 0 {
		return
	}
	list := make([]*entry, 0, len(m.mu.deferred))
	for e := range m.mu.deferred {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(priorityOf(b.pod), priorityOf(a.pod)), cmp.Compare(a.pod.UID, b.pod.UID))
	})
	for _, e := range list {
		m.resizeLocked(e)
	}
}

func priorityOf(pod *corev1.Pod) int32 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return *pod.Spec.Priority
}

func podEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// grant takes in what the pod has by now, and why it is not what it asked for.
func (w *Worker) grant(pod *corev1.Pod, granted podstate.Allocation, pending *podstate.Pending) {
	same := pending != nil && w.view.Pending != nil && *pending == *w.view.Pending
	started := pending == nil && w.view.Allocated.Asks(granted.Apply(pod))
	w.view.Allocated, w.view.Pending = granted, pending
	switch {
	case started:
		w.resizing = true
		w.deps.podEvent(pod, corev1.EventTypeNormal, "ResizeStarted", "Pod resize started: "+w.resizeText(pod, ""))
	case pending != nil && !same:
		w.deps.podEvent(pod, corev1.EventTypeWarning, "Resize"+pending.Reason, "Pod resize "+pending.Reason+": "+w.resizeText(pod, pending.Message))
	}
}

// resizeText says what resources a pod asks for, and what stands against it.
func (w *Worker) resizeText(pod *corev1.Pod, problem string) string {
	type container struct {
		Name      string                      `json:"name"`
		Resources corev1.ResourceRequirements `json:"resources"`
	}
	text := struct {
		Containers []container                  `json:"containers"`
		Pod        *corev1.ResourceRequirements `json:"pod,omitempty"`
		Generation int64                        `json:"generation"`
		Error      string                       `json:"error,omitempty"`
	}{Generation: pod.Generation, Error: problem}
	text.Pod = pod.Spec.Resources
	for i := range pod.Spec.Containers {
		text.Containers = append(text.Containers, container{pod.Spec.Containers[i].Name, pod.Spec.Containers[i].Resources})
	}
	data, err := json.Marshal(text)
	if err != nil {
		return problem
	}
	return string(data)
}

// tellResized tells once that all containers have what they were granted.
func (w *Worker) tellResized() {
	if w.resizing && !podstate.Resizing(w.view) {
		w.resizing = false
		w.deps.podEvent(w.view.Pod, corev1.EventTypeNormal, "ResizeCompleted", "Pod resize completed: "+w.resizeText(w.view.Pod, ""))
	}
}

// resizeWhole gives the pod's cgroup new limits.
func (w *Worker) resizeWhole() func() func() {
	pod := w.view.Allocated.Apply(w.view.Pod)
	return func() func() {
		var err error
		if w.deps.Cgroups != nil {
			err = w.deps.Cgroups.Ensure(pod)
		}
		return func() {
			if err == nil {
				w.view.Whole = pod.Spec.Resources
				delete(w.view.ResizeFailed, podstate.WholeKey)
				return
			}
			message := "Error resizing pod: " + err.Error()
			if w.view.ResizeFailed[podstate.WholeKey] != message {
				w.deps.podEvent(pod, corev1.EventTypeWarning, "ResizeError", message)
			}
			w.view.ResizeFailed[podstate.WholeKey] = message
			w.view.NotBefore[podstate.WholeKey] = time.Now().Add(resizeRetry)
		}
	}
}

func (w *Worker) resizeContainer(a podstate.Action) func() func() {
	if a.Target == podstate.WholeKey {
		return w.resizeWhole()
	}
	pod := w.view.Allocated.Apply(w.view.Pod)
	c := render.Find(pod, a.Container)
	given := w.view.Resized[a.Target]
	res := render.ContainerResources(pod, c, w.deps.MemoryCapacity, w.deps.NoCPUQuota)
	return func() func() {
		err := w.giveResources(pod, c, a.Target, given, func() error { return w.deps.Runtime.UpdateResources(w.ctx, a.Target, res) })
		return func() {
			if err == nil {
				w.view.Resized[a.Target] = c.Resources
				delete(w.view.ResizeFailed, a.Target)
				return
			}
			message := fmt.Sprintf("Error resizing container %s: %s", c.Name, cri.Message(err))
			if w.view.ResizeFailed[a.Target] != message {
				w.deps.containerEvent(pod, c.Name, corev1.EventTypeWarning, "ResizeError", message)
			}
			w.view.ResizeFailed[a.Target] = message
			w.view.NotBefore[a.Target] = time.Now().Add(resizeRetry)
		}
	}
}

// giveResources changes the limits of a container and its pod in an order in
// which neither stands in the other's way. A limit of memory is not set below
// what is in use: the container would be killed.
func (w *Worker) giveResources(pod *corev1.Pod, c *corev1.Container, id string, given corev1.ResourceRequirements, update func() error) error {
	limit, before := c.Resources.Limits.Memory().Value(), given.Limits.Memory().Value()
	shrinks := limit > 0 && (before == 0 || limit < before)
	if !shrinks {
		w.ensureCgroup(pod)
		return update()
	}
	used, err := w.deps.Runtime.MemoryUse(w.ctx, id)
	if err != nil {
		return err
	}
	if used >= limit {
		return fmt.Errorf("attempting to set container memory limit (%d) below current usage (%d)", limit, used)
	}
	if err := update(); err != nil {
		return err
	}
	w.ensureCgroup(pod)
	return nil
}
