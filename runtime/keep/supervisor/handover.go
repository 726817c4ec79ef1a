package supervisor

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keep/wire"
	"github.com/knarr-io/knarr/runtime/proc"
)

// Snapshot is a service as it passes from one keep to the next by exec.
type Snapshot struct {
	Spec     wire.Service  `json:"spec"`
	Sockets  []int         `json:"sockets,omitempty"`
	State    string        `json:"state"`
	ID       proc.ID       `json:"id"`
	Since    time.Time     `json:"since"`
	Restarts int           `json:"restarts"`
	Next     time.Duration `json:"next"`
	LastExit *wire.Exit    `json:"lastExit,omitempty"`
}

// Snapshots returns the services and keeps them from changing until release
// is called; after an exec nobody calls it.
func (s *Supervisor) Snapshots() (all []Snapshot, release func()) {
	s.mu.Lock()
	for _, v := range s.services {
		all = append(all, Snapshot{Spec: v.spec, Sockets: v.sockets, State: v.state, ID: v.id, Since: v.since,
			Restarts: v.restarts, Next: v.backoff.next, LastExit: v.lastExit})
	}
	return all, s.mu.Unlock
}

// Adopt takes over services from an earlier program in this process.
func (s *Supervisor) Adopt(all []Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leftover = map[string]proc.ID{}
	for _, v := range all {
		for _, fd := range v.Sockets {
			unix.CloseOnExec(fd)
		}
		svc := &service{spec: v.Spec, sockets: v.Sockets, state: v.State, id: v.ID, since: v.Since,
			restarts: v.Restarts, lastExit: v.LastExit, gone: make(chan struct{}),
			backoff: backoff{min: millis(v.Spec.BackoffMinMillis, defaultBackoffMin),
				max: millis(v.Spec.BackoffMaxMillis, defaultBackoffMax), next: v.Next}}
		s.services[v.Spec.Name] = svc
		s.rotating.watch(v.Spec.Log)
		if v.State == wire.StateBackoff {
			svc.timer = time.AfterFunc(v.Next, func() { s.restart(svc) })
		}
	}
	s.savePIDsLocked()
}
