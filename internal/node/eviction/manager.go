package eviction

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/node/cri"
)

const (
	// roundEvery is how often the machine is looked at, as upstream.
	roundEvery = 10 * time.Second
	// endWait bounds the wait for an evicted pod before the next is looked for.
	endWait = 30 * time.Second
	// hardGrace is what a pod gets that has to go at once.
	hardGrace = time.Second
	// walkShare bounds the walks through what a pod has stored to this part of
	// the time.
	walkShare = 20
)

// Host is the node that a Manager keeps alive. All fields are needed.
type Host struct {
	Config  Config
	Runtime *cri.Client
	// Root is a folder on the pods' file system; LogRoot has the containers' logs.
	Root, LogRoot string
	// EmptyDir is where an emptyDir of a pod lies.
	EmptyDir func(uid types.UID, volume string) string
	Pods     func() []*corev1.Pod
	// Evict ends a pod for good; the channel is closed when nothing of it runs
	// and what it has stored is gone.
	Evict func(uid types.UID, message string, grace time.Duration) <-chan struct{}
	// Evicted is told of each eviction: its signal, and how old the figures
	// were that it was decided by.
	Evicted func(signal string, age time.Duration)
	// Reclaim frees what nobody uses: containers that have ended, and images.
	Reclaim func(ctx context.Context) error
	// Changed is called when conditions have changed.
	Changed func()
	// Event tells an event of the node.
	Event  func(typ, reason, message string)
	Logger *slog.Logger
}

// Manager evicts pods. Run it once; Conditions may be called at any time.
type Manager struct {
	host Host
	// state, disks and walks belong to Run's goroutine.
	state State
	disks Disks
	// walks tells when a pod's files may be walked through again.
	walks map[types.UID]time.Time

	mu struct {
		sync.Mutex
		conditions []corev1.NodeConditionType
	}
}

// New makes a manager. It has looked at the machine once, so that the node's
// first status is true.
func New(h Host) *Manager {
	m := &Manager{host: h, disks: Disks{Node: h.Root}, walks: map[types.UID]time.Time{}}
	m.mu.conditions = m.state.Step(h.Config, Observe(m.disks), time.Now()).Conditions
	return m
}

// Has tells whether the node has the condition now.
func (m *Manager) Has(c corev1.NodeConditionType) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.mu.conditions, c)
}

// Run watches the machine and evicts pods until ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	timer := time.NewTimer(roundEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		timer.Reset(m.round(ctx, time.Now()))
	}
}

// round looks once and says when to look again.
func (m *Manager) round(ctx context.Context, now time.Time) time.Duration {
	m.findImages(ctx)
	readings := Observe(m.disks)
	out := m.state.Step(m.host.Config, readings, now)
	m.tell(out.Conditions)
	m.evictLimited(ctx, now)
	if len(out.Act) > 0 {
		if m.relieve(ctx, out.Act[0], readings) {
			return 0
		}
		return roundEvery
	}
	if !out.Wake.IsZero() {
		return min(max(out.Wake.Sub(now), 0), roundEvery)
	}
	return roundEvery
}

// findImages asks once where images lie.
func (m *Manager) findImages(ctx context.Context) {
	if m.disks.Images != "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	info, err := m.host.Runtime.ImageFs(ctx)
	if err != nil || len(info.GetImageFilesystems()) == 0 {
		return // asked again in the next round
	}
	m.disks.Images = info.GetImageFilesystems()[0].GetFsId().GetMountpoint()
}

func (m *Manager) tell(conditions []corev1.NodeConditionType) {
	m.mu.Lock()
	changed := !slices.Equal(conditions, m.mu.conditions)
	m.mu.conditions = conditions
	m.mu.Unlock()
	if changed {
		m.host.Changed()
	}
}

// relieve acts on a threshold; it tells whether to look again at once.
func (m *Manager) relieve(ctx context.Context, t Threshold, readings map[Signal]Reading) bool {
	seen := time.Now()
	m.host.Event(corev1.EventTypeWarning, "EvictionThresholdMet", "Attempting to reclaim "+string(t.Signal.Resource()))
	if t.Signal.Condition() == corev1.NodeDiskPressure {
		if err := m.host.Reclaim(ctx); err != nil && ctx.Err() == nil {
			m.host.Logger.Warn("unused images and containers are not all removed", "error", err)
		}
		readings, seen = Observe(m.disks), time.Now()
		if r, ok := readings[t.Signal]; ok && !below(t, r, true) {
			return true
		}
	}
	usage := m.usage(ctx, t)
	for _, pod := range Rank(t.Signal.Resource(), m.candidates(), func(p *corev1.Pod) Usage { return usage[p.UID] }) {
		grace := hardGrace
		if t.Soft() {
			grace = softGrace(pod, m.host.Config.MaxPodGrace)
		}
		m.host.Evicted(string(t.Signal), time.Since(seen))
		m.evict(ctx, pod, shortage(t, readings[t.Signal], pod, usage[pod.UID]), grace)
		return ctx.Err() == nil
	}
	m.host.Logger.Warn("the node runs short and there is no pod to evict", "signal", string(t.Signal))
	return false
}

// softGrace is the pod's own grace as far as the configuration lets it.
func softGrace(pod *corev1.Pod, most time.Duration) time.Duration {
	own := most
	if s := pod.Spec.TerminationGracePeriodSeconds; s != nil {
		own = min(own, time.Duration(*s)*time.Second)
	}
	return own
}

// candidates are the pods that may be evicted.
func (m *Manager) candidates() []*corev1.Pod {
	return slices.DeleteFunc(slices.Clone(m.host.Pods()), func(p *corev1.Pod) bool {
		return Critical(p) || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
	})
}

// usage measures the pods by what the threshold is about.
func (m *Manager) usage(ctx context.Context, t Threshold) map[types.UID]Usage {
	usage, err := m.measure(ctx)
	if err == nil && t.Signal.Condition() == corev1.NodeDiskPressure {
		usage, err = m.usageOnDisk(ctx, usage)
	}
	if err != nil && ctx.Err() == nil {
		m.host.Logger.Warn("what pods take is not all known: they are ranked by the rest", "error", err)
	}
	return usage
}

func (m *Manager) usageOnDisk(ctx context.Context, usage map[types.UID]Usage) (map[types.UID]Usage, error) {
	layers, err := m.layers(ctx)
	if err != nil {
		return usage, err
	}
	for _, pod := range m.candidates() {
		u, err := m.stored(ctx, pod, usage[pod.UID], layers[pod.UID])
		if err != nil {
			return usage, err
		}
		usage[pod.UID] = u
	}
	return usage, nil
}

// evict ends the pod and waits for it, but not for ever.
func (m *Manager) evict(ctx context.Context, pod *corev1.Pod, message string, grace time.Duration) {
	m.host.Logger.Warn("evicting a pod", "pod", pod.Namespace+"/"+pod.Name, "uid", pod.UID, "why", message)
	ended := m.host.Evict(pod.UID, message, grace)
	timer := time.NewTimer(grace + endWait)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// evictLimited evicts pods that broke their limits on what they store.
func (m *Manager) evictLimited(ctx context.Context, now time.Time) {
	var due []*corev1.Pod
	present := map[types.UID]bool{}
	for _, pod := range m.candidates() {
		present[pod.UID] = true
		if Limited(pod) && !now.Before(m.walks[pod.UID]) {
			due = append(due, pod)
		}
	}
	for uid := range m.walks {
		if !present[uid] {
			delete(m.walks, uid)
		}
	}
	if len(due) == 0 {
		return
	}
	layers, err := m.layers(ctx)
	for _, pod := range due {
		if err != nil {
			break
		}
		began := time.Now()
		var u Usage
		if u, err = m.stored(ctx, pod, Usage{}, layers[pod.UID]); err != nil {
			break
		}
		m.walks[pod.UID] = now.Add(walkShare * time.Since(began))
		if signal, message := Exceeds(pod, u); message != "" {
			m.host.Evicted(signal, time.Since(began))
			m.evict(ctx, pod, message, hardGrace)
		}
	}
	if err != nil && ctx.Err() == nil {
		m.host.Logger.Warn("limits of what pods store are not checked", "error", err)
	}
}
