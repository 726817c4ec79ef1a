package worker

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/node/podstate"
	"github.com/knarr-io/knarr/internal/node/static"
)

// staticPod is a name that manifests have declared a pod of.
type staticPod struct {
	// want is the pod as its manifest says; nil when that is gone.
	want *corev1.Pod
	// run is the worker of want, or of the pod that has to end before.
	run *entry
	// mirror is the Pod of that name at the API; nil when there is none.
	mirror *corev1.Pod
}

// followStatic runs what the manifests declare until ctx ends.
func (m *Manager) followStatic(ctx context.Context) {
	err := m.deps.Static.Run(ctx, m.setStatic)
	if err != nil && ctx.Err() == nil {
		m.deps.Logger.Error("manifests of static pods are not followed; those that were read run on", "error", err)
	}
}

// setStatic takes in all static pods that there are now.
func (m *Manager) setStatic(pods []*corev1.Pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.ended {
		return
	}
	wanted := make(map[string]*corev1.Pod, len(pods))
	for _, pod := range pods {
		wanted[pod.Namespace+"/"+pod.Name] = pod
	}
	for name, pod := range wanted {
		s := m.mu.statics[name]
		if s == nil {
			s = &staticPod{}
			m.mu.statics[name] = s
			if mirror, ok := m.pods.Get(pod.Namespace, pod.Name); ok && static.IsMirror(mirror) {
				s.mirror = mirror
			}
		}
		s.want = pod
		m.moveStaticLocked(name, s)
	}
	for name, s := range m.mu.statics {
		if wanted[name] == nil {
			s.want = nil
			m.moveStaticLocked(name, s)
		}
	}
}

// moveStaticLocked starts the pod that is wanted when the one before it has
// ended; until the runtime was listed it waits for what that tells.
func (m *Manager) moveStaticLocked(name string, s *staticPod) {
	switch {
	case s.run != nil && (s.want == nil || s.run.pod.UID != s.want.UID):
		s.run.worker.remove()
	case s.run != nil || !m.mu.static || s.want != nil && m.mu.broken[s.want.UID] != nil:
	case s.want == nil:
		delete(m.mu.statics, name)
	default:
		s.run = m.startLocked(static.With(s.want, s.mirrorOf(s.want)), nil)
	}
}

// mirrorOf is the mirror where it is that pod's.
func (s *staticPod) mirrorOf(pod *corev1.Pod) *corev1.Pod {
	if s.mirror == nil || !static.Of(s.mirror, pod) || s.run == nil && podEnded(s.mirror) {
		return nil
	}
	return s.mirror
}

// adoptStaticLocked starts the static pods after the first listing that could
// tell of them, with what the runtime runs of them; those it has started are fresh.
func (m *Manager) adoptStaticLocked(found map[types.UID][]podListing, began time.Time, fresh map[types.UID]bool) {
	if m.deps.Static == nil {
		return
	}
	m.mu.static = true
	for name, s := range m.mu.statics {
		if s.want == nil || s.run != nil {
			continue
		}
		l, runs := found[s.want.UID]
		if !runs {
			m.moveStaticLocked(name, s)
			continue
		}
		s.run = m.startLocked(static.With(s.want, s.mirrorOf(s.want)), &listing{began: began, pods: l})
		fresh[s.want.UID] = true
	}
}

// staticEndedLocked takes in that a worker has ended; where it was a static
// pod's, the next of its name may start.
func (m *Manager) staticEndedLocked(e *entry) {
	name := e.pod.Namespace + "/" + e.pod.Name
	if s := m.mu.statics[name]; s != nil && s.run == e {
		s.run = nil
		if !m.mu.ended {
			m.moveStaticLocked(name, s)
		}
	}
}

// mirrorLocked takes in a change of a mirror; false where it is none.
func (m *Manager) mirrorLocked(old, pod *corev1.Pod) bool {
	told := pod
	if told == nil {
		told = old
	}
	if !static.IsMirror(told) {
		return false
	}
	s := m.mu.statics[told.Namespace+"/"+told.Name]
	if s == nil {
		if pod != nil {
			m.dropMirror(pod)
		}
		return true
	}
	s.mirror = pod
	if e := s.run; e != nil {
		e.pod = static.With(e.worker.static, s.mirrorOf(e.worker.static))
		e.worker.post(func() { e.worker.setMirror(pod) })
	}
	return true
}

// dropMirror deletes a mirror of no static pod that this node has.
func (m *Manager) dropMirror(mirror *corev1.Pod) {
	ctx := m.mu.ctx
	m.wg.Go(func() {
		err := deleteNow(ctx, m.deps.Client, mirror)
		if err != nil && ctx.Err() == nil {
			m.deps.Logger.Warn("mirror of a static pod that is gone is not deleted", "pod", mirror.Namespace+"/"+mirror.Name, "error", err)
		}
	})
}

// remove ends a static pod whose manifest is gone or declares another.
func (w *Worker) remove() {
	w.post(func() { w.begin(podstate.StopFor(w.static, false, time.Now())) })
}
