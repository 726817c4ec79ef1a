package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/render"
)

const (
	// safetyRelist repairs what an event may have missed.
	safetyRelist = 5 * time.Minute
	// eventlessRelist is for runtimes that have no event stream.
	eventlessRelist = time.Second
	// brokenRelist is for sandboxes of which the runtime could not tell.
	brokenRelist   = 10 * time.Second
	firstReconnect = 50 * time.Millisecond
	lastReconnect  = 5 * time.Second
)

// follow passes the runtime's events on, and lists everything whenever a
// stream was opened: what happened before it is not told.
func (m *Manager) follow(ctx context.Context) error {
	pause := firstReconnect
	for ctx.Err() == nil {
		began := time.Now()
		err := m.stream(ctx)
		if ctx.Err() != nil {
			break
		}
		if cri.Code(err) == codes.Unimplemented {
			m.deps.Logger.Warn("the runtime has no event stream, it is listed every second")
			return m.listAlways(ctx, eventlessRelist)
		}
		if time.Since(began) > lastReconnect {
			pause = firstReconnect
		}
		m.deps.Logger.Warn("the runtime's event stream broke", "error", err, "again_in", pause)
		if sleep(ctx, pause) != nil {
			break
		}
		pause = min(2*pause, lastReconnect)
	}
	return ctx.Err()
}

// stream follows one event stream until it breaks.
func (m *Manager) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	opened := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-opened:
		case <-ctx.Done():
			return
		}
		if err := m.listAlways(ctx, safetyRelist); err != nil && ctx.Err() == nil {
			cancel(err)
		}
	}()
	err := m.deps.Runtime.Events(ctx, func() { close(opened) }, m.event)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	cancel(nil)
	<-done
	return err
}

// event passes an event to the pod's worker. Events that outrun the first
// listing are covered by it.
func (m *Manager) event(ev *runtimeapi.ContainerEventResponse) {
	uid := types.UID(ev.GetPodSandboxStatus().GetLabels()[render.LabelPodUID])
	m.mu.Lock()
	e := m.mu.workers[uid]
	m.mu.Unlock()
	if e != nil {
		e.worker.post(func() { e.worker.event(ev) })
	}
}

// listAlways lists the runtime now and then in the given interval.
func (m *Manager) listAlways(ctx context.Context, every time.Duration) error {
	for {
		whole, err := m.list(ctx)
		if err != nil {
			return err
		}
		pause := every
		if !whole {
			pause = min(every, brokenRelist)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-m.again:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// list asks for everything that the runtime holds, tells it to the workers
// and starts workers for pods that have none. It is whole where the runtime
// could tell of every sandbox.
func (m *Manager) list(ctx context.Context) (whole bool, err error) {
	// Asked for before the listing: a pod that the API tells of meanwhile is not
	// taken for one that nobody knows.
	known := m.pods.HasSynced() && m.deps.Services.HasSynced()
	inv, err := m.inventory(ctx)
	if err != nil {
		return false, err
	}
	if m.take(inv, known) {
		// From here on the API's changes start workers.
		m.pods.OnChange(m.changed)
		m.sweep()
	}
	return len(inv.broken) == 0, nil
}

// take hands a listing to the workers; known is set when the API's pods are.
// It tells whether it was the first with them known.
func (m *Manager) take(inv inventory, known bool) (first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found, began := inv.found, inv.began
	fresh := map[types.UID]bool{} // workers that have this listing already
	mended := m.noteBrokenLocked(inv.broken)
	m.adoptStaticLocked(found, began, fresh)
	first = known && !m.mu.listed
	if first {
		m.mu.listed = true
		for _, pod := range m.pods.List("", nil) {
			if l, ok := found[pod.UID]; ok {
				m.startLocked(pod, &listing{began: began, pods: l})
				fresh[pod.UID] = true
			}
		}
	} else if known {
		m.startMendedLocked(mended, inv, fresh)
	}
	for uid, l := range found {
		if known && m.mu.workers[uid] == nil {
			m.adoptOrphanLocked(uid, listing{began: began, pods: l})
			fresh[uid] = true
		}
	}
	for uid, e := range m.mu.workers {
		if !fresh[uid] && inv.broken[uid] == nil {
			l := listing{began: began, pods: found[uid]}
			e.worker.post(func() { e.worker.relist(l) })
		}
	}
	return first
}

// adoptOrphanLocked ends a pod that the API does not hold. One that it holds
// by now has a worker soon, or the next listing finds it.
func (m *Manager) adoptOrphanLocked(uid types.UID, l listing) {
	pod := orphan(l.pods[0])
	if current, ok := m.pods.Get(pod.Namespace, pod.Name); uid == "" || (ok && current.UID == uid) {
		return
	}
	m.deps.Logger.Info("ending a pod that only the runtime knows", "pod", pod.Namespace+"/"+pod.Name, "uid", uid)
	m.startLocked(pod, &l).worker.gone(pod)
}

// inventory asks the runtime for every sandbox and container. One of which it
// cannot tell breaks only its own pod.
func (m *Manager) inventory(ctx context.Context) (inv inventory, err error) {
	inv = inventory{began: time.Now(), found: map[types.UID][]podListing{}, broken: map[types.UID]error{}}
	sandboxes, err := m.deps.Runtime.Sandboxes(ctx, nil)
	if err != nil {
		return inv, fmt.Errorf("list sandboxes: %w", err)
	}
	containers, err := m.deps.Runtime.Containers(ctx, nil)
	if err != nil {
		return inv, fmt.Errorf("list containers: %w", err)
	}
	inside := map[string][]string{}
	for _, c := range containers {
		inside[c.GetPodSandboxId()] = append(inside[c.GetPodSandboxId()], c.GetId())
	}
	for _, s := range sandboxes {
		uid := types.UID(s.GetLabels()[render.LabelPodUID])
		l, err := m.describe(ctx, s.GetId(), inside[s.GetId()])
		switch {
		case cri.IsNotFound(err):
		case ctx.Err() != nil, cri.Code(err) == codes.Unavailable:
			return inv, err
		case err != nil:
			inv.broken[uid] = err
		default:
			inv.found[uid] = append(inv.found[uid], l)
		}
	}
	for uid := range inv.broken {
		delete(inv.found, uid) // what it lacks may be there
	}
	return inv, nil
}

// describe asks for one sandbox and its containers.
func (m *Manager) describe(ctx context.Context, sandbox string, ids []string) (podListing, error) {
	st, err := m.deps.Runtime.SandboxStatus(ctx, sandbox)
	if err != nil {
		return podListing{}, fmt.Errorf("sandbox %s: %w", sandbox, err)
	}
	l := podListing{sandbox: st.GetStatus(), containers: st.GetContainersStatuses()}
	if len(l.containers) >= len(ids) {
		return l, nil
	}
	l.containers = nil
	for _, id := range ids {
		c, err := m.deps.Runtime.ContainerStatus(ctx, id)
		if cri.IsNotFound(err) {
			continue
		}
		if err != nil {
			return podListing{}, fmt.Errorf("container %s: %w", id, err)
		}
		l.containers = append(l.containers, c)
	}
	return l, nil
}

// sweep removes what an agent that crashed left of pods that nobody knows any
// more: their volumes and mounts.
func (m *Manager) sweep() {
	left, err := m.deps.Volumes.Leftovers()
	if err != nil {
		m.deps.Logger.Warn("left-over volumes are not listed", "error", err)
		return
	}
	known := map[types.UID]bool{}
	for _, pod := range m.pods.List("", nil) {
		known[pod.UID] = true
	}
	for _, uid := range append(left, m.deps.Users.Pods()...) {
		m.mu.Lock()
		active := m.mu.workers[uid] != nil || m.mu.broken[uid] != nil
		m.mu.Unlock()
		if known[uid] || active {
			continue
		}
		m.deps.Logger.Info("removing volumes of a pod that is gone", "uid", uid)
		if err := errors.Join(m.deps.Volumes.Release(uid), m.deps.Users.Release(uid)); err != nil {
			m.deps.Logger.Warn("left-over volumes are not removed", "uid", uid, "error", err)
		}
	}
}
