package worker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/podstate"
	"github.com/knarr-io/knarr/internal/node/render"
	"github.com/knarr-io/knarr/internal/node/static"
)

// Manager starts and ends workers. It is safe for concurrent use.
type Manager struct {
	deps *Deps
	pods *client.Informer[*corev1.Pod]
	wg   sync.WaitGroup
	// again asks for the runtime to be listed now.
	again chan struct{}

	mu struct {
		sync.Mutex
		ctx      context.Context // set by Run
		workers  map[types.UID]*entry
		listed   bool                  // the runtime was listed once, with the API's pods known
		deferred map[*entry]bool       // pods whose resize does not fit
		statics  map[string]*staticPod // by namespace/name
		static   bool                  // static pods were started
		ended    bool                  // no workers are started any more
		broken   map[types.UID]error   // pods of which the runtime cannot tell
	}
}

// entry is a worker and the newest state of its pod that the API told.
type entry struct {
	worker *Worker
	// pod of a static pod has its mirror's status.
	pod *corev1.Pod
	// granted is what the node has given the pod's containers.
	granted podstate.Allocation
	// rejected is set when the node did not take the pod.
	rejected bool
}

// NewManager makes a manager of the pods that the informer holds: those of
// this node.
func NewManager(d *Deps, pods *client.Informer[*corev1.Pod]) *Manager {
	m := &Manager{deps: d, pods: pods, again: make(chan struct{}, 1)}
	m.mu.workers = make(map[types.UID]*entry)
	m.mu.deferred = make(map[*entry]bool)
	m.mu.statics = make(map[string]*staticPod)
	return m
}

// Run runs the node's pods until ctx ends; they go on without it. Static pods
// it runs at once, those of the API when they are known; it adopts what the
// runtime runs already.
func (m *Manager) Run(ctx context.Context) error {
	if m.deps.RuntimeName == "" {
		version, err := m.deps.Runtime.Version(ctx)
		if err != nil {
			return fmt.Errorf("runtime's name: %w", err)
		}
		m.deps.RuntimeName = version.GetRuntimeName()
	}
	m.mu.Lock()
	m.mu.ctx = ctx
	m.mu.Unlock()
	defer m.wait()
	m.wg.Go(func() { m.awaitAPI(ctx) })
	if m.deps.Static != nil {
		m.setStatic(m.deps.Static.Read())
		m.wg.Go(func() { m.followStatic(ctx) })
	}
	return m.follow(ctx)
}

// awaitAPI has the runtime listed again when the API's pods are known.
func (m *Manager) awaitAPI(ctx context.Context) {
	if m.pods.WaitSynced(ctx) != nil || m.deps.Services.WaitSynced(ctx) != nil {
		return
	}
	m.listAgain()
}

func (m *Manager) listAgain() {
	select {
	case m.again <- struct{}{}:
	default:
	}
}

// wait lets no worker start any more and waits for those that run.
func (m *Manager) wait() {
	m.mu.Lock()
	m.mu.ended = true
	m.mu.Unlock()
	m.wg.Wait()
}

// changed takes in a pod's change at the API.
func (m *Manager) changed(old, pod *corev1.Pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.ended {
		return
	}
	if m.mirrorLocked(old, pod) {
		return
	}
	switch {
	case pod == nil:
		if e := m.mu.workers[old.UID]; e != nil {
			e.worker.gone(old)
		}
	case m.mu.workers[pod.UID] == nil && m.mu.broken[pod.UID] != nil:
		// It is started when the runtime can tell what runs of it.
	case m.mu.workers[pod.UID] == nil:
		m.startLocked(pod, nil)
	default:
		e := m.mu.workers[pod.UID]
		e.pod = pod
		// Decided before the worker learns of the new spec.
		m.resizeLocked(e)
		e.worker.update(pod)
		m.retryLocked()
	}
	if old != nil && pod != nil && old.UID != pod.UID {
		// Deleted and made again while the watch was away.
		if e := m.mu.workers[old.UID]; e != nil {
			e.worker.gone(old)
		}
	}
}

// startLocked starts the worker of a pod, of which the runtime may know
// something already.
func (m *Manager) startLocked(pod *corev1.Pod, known *listing) *entry {
	w := newWorker(m.deps, pod)
	e := &entry{worker: w, pod: pod, granted: podstate.AllocationOf(pod)}
	w.view.Allocated, w.view.Whole = e.granted, e.granted.Whole(pod)
	m.mu.workers[pod.UID] = e
	if s := m.mu.statics[pod.Namespace+"/"+pod.Name]; s != nil && s.want != nil && s.want.UID == pod.UID {
		w.static = s.want
		w.setMirror(s.mirror)
	}
	if known != nil {
		w.relist(*known)
		w.adoptProbes()
	}
	switch {
	case pod.DeletionTimestamp != nil:
		w.view.Stop = podstate.StopFor(pod, false, time.Now())
	case known == nil && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed:
		if v := m.admitLocked(pod); v != nil {
			e.rejected, w.view.Verdict = true, v
			m.deps.Metrics.PodRejected(v.Reason)
			m.deps.podEvent(pod, corev1.EventTypeWarning, v.Reason, v.Message)
		}
	}
	m.resizeLocked(e) // what was asked for while no agent ran
	ctx := m.mu.ctx
	m.wg.Go(func() {
		w.run(ctx)
		m.ended(pod.UID, w)
	})
	return e
}

func (m *Manager) ended(uid types.UID, w *Worker) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.mu.workers[uid]; e != nil && e.worker == w {
		delete(m.mu.workers, uid)
		delete(m.mu.deferred, e)
		m.staticEndedLocked(e)
		m.retryLocked()
	}
}

// admitLocked decides whether the node takes a new pod.
func (m *Manager) admitLocked(pod *corev1.Pod) *podstate.Verdict {
	if v := podstate.AdmitPolicy(pod, m.policy()); v != nil {
		return v
	}
	node := m.deps.Node()
	if node == nil {
		return nil
	}
	return podstate.Admit(pod, m.othersLocked(pod), node)
}

// othersLocked are the pods beside one that take something of the node, with
// what they were granted.
func (m *Manager) othersLocked(pod *corev1.Pod) []*corev1.Pod {
	var others []*corev1.Pod
	for uid, e := range m.mu.workers {
		if uid != pod.UID && !podEnded(e.pod) && !e.rejected {
			others = append(others, e.granted.Apply(e.pod))
		}
	}
	return others
}

// policy is what the settings and the state of the node say of new pods.
func (m *Manager) policy() podstate.Policy {
	p := podstate.Policy{UnsafeSysctls: m.deps.UnsafeSysctls, Stopping: m.deps.Stopping != nil && m.deps.Stopping()}
	if m.deps.Pressure == nil {
		return p
	}
	for _, c := range []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		if m.deps.Pressure(c) {
			p.Pressure = append(p.Pressure, c)
		}
	}
	return p
}

// orphan is a pod that only the runtime knows, as far as labels and
// annotations tell.
func orphan(l podListing) *corev1.Pod {
	labels := l.sandbox.GetLabels()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: labels[render.LabelPodName], Namespace: labels[render.LabelPodNamespace], UID: types.UID(labels[render.LabelPodUID]),
	}}
	for _, c := range l.containers {
		pod.Spec.TerminationGracePeriodSeconds = render.Seconds(c, render.AnnotationPodGrace)
		pod.DeletionGracePeriodSeconds = render.Seconds(c, render.AnnotationPodDeletionGrace)
	}
	return pod
}

// Pods are the node's pods as the API last told, static pods in place of their
// mirrors.
func (m *Manager) Pods() []*corev1.Pod {
	pods := slices.DeleteFunc(m.pods.List("", nil), static.IsMirror)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.mu.statics {
		if s.run != nil {
			pods = append(pods, s.run.pod)
		}
	}
	return pods
}

// Pod finds a pod of the node by name; of a static pod not its mirror.
func (m *Manager) Pod(namespace, name string) (*corev1.Pod, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.mu.statics[namespace+"/"+name]; s != nil && s.run != nil {
		return s.run.pod, true
	}
	return m.pods.Get(namespace, name)
}

// Snapshot is what the runtime last told of a pod.
type Snapshot struct {
	Sandbox   *runtimeapi.PodSandboxStatus // nil when none is ready
	Instances map[string][]*podstate.Instance
}

// Look asks a pod's worker what the runtime told; ok is false when the node
// has no such pod.
func (m *Manager) Look(ctx context.Context, uid types.UID) (s Snapshot, ok bool) {
	m.mu.Lock()
	e := m.mu.workers[uid]
	m.mu.Unlock()
	if e == nil {
		return Snapshot{}, false
	}
	answer := make(chan Snapshot, 1)
	if !e.worker.post(func() { answer <- e.worker.snapshot() }) {
		return Snapshot{}, false
	}
	select {
	case s = <-answer:
		return s, true
	case <-ctx.Done():
		return Snapshot{}, false
	}
}

func (w *Worker) snapshot() Snapshot {
	out := Snapshot{Sandbox: w.view.Sandbox(), Instances: make(map[string][]*podstate.Instance, len(w.view.Instances))}
	for name, list := range w.view.Instances {
		out.Instances[name] = append([]*podstate.Instance(nil), list...)
	}
	return out
}

// Ended is closed when an instance of the pod has ended, or is not known. It is
// forgotten when ctx ends.
func (m *Manager) Ended(ctx context.Context, uid types.UID, instance string) <-chan struct{} {
	c := make(chan struct{})
	m.mu.Lock()
	e := m.mu.workers[uid]
	m.mu.Unlock()
	if e == nil {
		close(c)
		return c
	}
	if !e.worker.post(func() { e.worker.awaitEnd(instance, c) }) {
		close(c)
		return c
	}
	context.AfterFunc(ctx, func() { e.worker.post(func() { e.worker.leave(instance, c) }) })
	return c
}
