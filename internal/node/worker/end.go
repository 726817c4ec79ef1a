package worker

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/node/podstate"
)

// End ends a pod for good by a verdict, such as an eviction; one that ends
// already is only given no more time than the verdict leaves. event is told of
// the pod unless it is empty. The channel is closed when nothing of the pod
// runs, its volumes are released, and its status says so; at once where the node has no such pod.
func (m *Manager) End(uid types.UID, v podstate.Verdict, event string) <-chan struct{} {
	m.mu.Lock()
	e := m.mu.workers[uid]
	m.mu.Unlock()
	ended := make(chan struct{})
	if e == nil {
		close(ended)
		return ended
	}
	asked := e.worker.post(func() {
		e.worker.end(v, event)
		e.worker.idle = append(e.worker.idle, ended)
	})
	if !asked {
		close(ended)
	}
	return ended
}

func (w *Worker) end(v podstate.Verdict, event string) {
	now := time.Now()
	switch {
	case w.view.Stop != nil:
		if !v.Deadline.IsZero() {
			w.begin(&podstate.Stop{Since: now, Deadline: v.Deadline})
		}
		return
	case podstate.Terminal(w.view, now):
		return
	}
	w.view.Verdict = &v
	w.stop()
	if event != "" {
		w.deps.podEvent(w.view.Pod, corev1.EventTypeWarning, event, v.Message)
	}
}

// Event tells an event of a pod.
func (m *Manager) Event(pod *corev1.Pod, typ, reason, message string) {
	m.deps.podEvent(pod, typ, reason, message)
}

// tellIdle wakes who waits for the pod to run nothing and to hold nothing of
// the node, when the API knows.
func (w *Worker) tellIdle() {
	told := !w.status.busy && w.status.since.IsZero()
	if len(w.idle) == 0 || !podstate.Idle(w.view) || !w.view.Released || !told {
		return
	}
	for _, c := range w.idle {
		close(c)
	}
	w.idle = nil
}

// Shed makes every pod let go of the containers that have ended but the
// newest.
func (m *Manager) Shed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.mu.workers {
		e.worker.post(func() { e.worker.view.Lean = true })
	}
}
