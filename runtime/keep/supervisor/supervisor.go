// Package supervisor starts programs, restarts them when they crash, and keeps
// their listening sockets open in between. A Supervisor owns the services'
// state, sockets and timers; the reaper tells it which child has ended.
package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keep/wire"
	"github.com/knarr-io/knarr/runtime/proc"
)

// Supervisor runs services. It is safe for concurrent use.
type Supervisor struct {
	log     *slog.Logger
	pidFile string

	mu       sync.Mutex
	services map[string]*service
	// leftover are services of a keep that died: nobody supervises them.
	leftover map[string]proc.ID
	subs     map[chan wire.Status]struct{}
	rotating *rotator
}

// service is one supervised program, guarded by the supervisor's mutex.
type service struct {
	spec     wire.Service
	sockets  []int
	state    string
	id       proc.ID
	since    time.Time
	restarts int
	backoff  backoff
	lastExit *wire.Exit
	timer    *time.Timer
	stopping bool
	gone     chan struct{} // closed when the running process was reaped
	// op serializes start and stop of the name.
	op sync.Mutex
}

// New returns a supervisor whose pid file is in dir.
func New(dir string, log *slog.Logger) (*Supervisor, error) {
	s := &Supervisor{
		log:      log,
		pidFile:  filepath.Join(dir, "services"),
		services: map[string]*service{},
		leftover: map[string]proc.ID{},
		subs:     map[chan wire.Status]struct{}{},
	}
	data, err := os.ReadFile(s.pidFile)
	if err == nil && json.Unmarshal(data, &s.leftover) != nil {
		s.leftover = map[string]proc.ID{}
	}
	s.rotating, err = newRotator(log)
	return s, err
}

// BoundLog bounds keep's own log as it does those of services.
func (s *Supervisor) BoundLog(path string) { s.rotating.watch(path) }

// Start makes spec run and says whether it ran before with the same spec. A
// program with another spec is replaced; sockets that both specs name stay open.
func (s *Supervisor) Start(spec wire.Service) (bool, error) {
	if err := validate(&spec); err != nil {
		return false, err
	}
	svc := s.lockEntry(spec.Name)
	defer svc.op.Unlock()
	s.mu.Lock()
	running := svc.state == wire.StateRunning
	// One that did not end when it was stopped would end later, and stay away.
	same := running && !svc.stopping && reflect.DeepEqual(svc.spec, spec)
	left, hasLeft := s.leftover[spec.Name]
	s.mu.Unlock()
	if same {
		return true, nil
	}
	if hasLeft {
		s.log.Info("ending a service of an earlier keep", "service", spec.Name, "pid", left.PID)
		if err := left.Terminate(unix.SIGTERM, grace(spec)); err != nil {
			return false, err
		}
		s.forgetLeftover(spec.Name)
	}
	if err := s.halt(svc, unix.SIGTERM, grace(svc.spec)); err != nil {
		return false, err
	}
	if err := s.exchangeSockets(svc, spec.Listen); err != nil {
		s.discard(svc)
		return false, err
	}
	return false, s.run(svc, spec)
}

// entry returns the service of that name, new if need be.
func (s *Supervisor) entry(name string) *service {
	s.mu.Lock()
	defer s.mu.Unlock()
	svc := s.services[name]
	if svc == nil {
		svc = &service{state: wire.StateStopped, since: time.Now(), spec: wire.Service{Name: name}}
		s.services[name] = svc
	}
	return svc
}

// lockEntry returns the service of that name with its op mutex held. A stop may
// have discarded an entry while its mutex was waited for.
func (s *Supervisor) lockEntry(name string) *service {
	for {
		svc := s.entry(name)
		svc.op.Lock()
		s.mu.Lock()
		current := s.services[name] == svc
		s.mu.Unlock()
		if current {
			return svc
		}
		svc.op.Unlock()
	}
}

// run starts spec for the first time and reports a program that cannot run at all.
func (s *Supervisor) run(svc *service, spec wire.Service) error {
	s.mu.Lock()
	svc.spec = spec
	svc.backoff = backoff{min: millis(spec.BackoffMinMillis, defaultBackoffMin), max: millis(spec.BackoffMaxMillis, defaultBackoffMax)}
	svc.restarts, svc.lastExit, svc.stopping = 0, nil, false
	c, err := s.spawnLocked(svc)
	s.mu.Unlock()
	if err == nil {
		err = c.result()
	}
	if err != nil {
		if herr := s.halt(svc, unix.SIGKILL, 0); herr != nil {
			s.log.Error("service does not end", "service", spec.Name, "error", herr)
		}
		s.discard(svc)
		return err
	}
	return nil
}

// spawnLocked forks the service and records it before the reaper can see its end.
func (s *Supervisor) spawnLocked(svc *service) (*child, error) {
	c, err := prepare(svc.spec, svc.sockets)
	if err != nil {
		return nil, err
	}
	pid, err := c.fork()
	if err != nil {
		c.close()
		return nil, fmt.Errorf("start %s: %w", svc.spec.Name, err)
	}
	// An unreaped child always has a stat.
	svc.id, err = proc.Identify(pid)
	if err != nil {
		s.log.Error("cannot identify a new child", "service", svc.spec.Name, "pid", pid, "error", err)
	}
	svc.gone = make(chan struct{})
	s.setStateLocked(svc, wire.StateRunning)
	s.rotating.watch(svc.spec.Log)
	return c, nil
}

func (s *Supervisor) setStateLocked(svc *service, state string) {
	svc.state, svc.since = state, time.Now()
	if state != wire.StateRunning {
		svc.id = proc.ID{}
	}
	s.savePIDsLocked()
	s.publishLocked(svc.statusLocked())
}

// savePIDsLocked leaves word for a later keep, should this one die.
func (s *Supervisor) savePIDsLocked() {
	pids := map[string]proc.ID{}
	for name, id := range s.leftover {
		pids[name] = id
	}
	for name, svc := range s.services {
		if svc.id.PID != 0 {
			pids[name] = svc.id
		}
	}
	data, err := json.Marshal(pids)
	if err == nil {
		err = os.WriteFile(s.pidFile+".new", data, 0o600)
	}
	if err == nil {
		err = os.Rename(s.pidFile+".new", s.pidFile)
	}
	if err != nil {
		s.log.Error("cannot record services", "error", err)
	}
}

// Exited takes the end of a child and says whether it was a service.
func (s *Supervisor) Exited(e wire.Exit) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, svc := range s.services {
		if svc.id.PID == e.PID && svc.state == wire.StateRunning {
			s.exitedLocked(svc, e)
			return true
		}
	}
	return false
}

func (s *Supervisor) exitedLocked(svc *service, e wire.Exit) {
	life := time.Since(svc.since)
	svc.lastExit = &e
	close(svc.gone)
	s.log.Info("service ended", "service", svc.spec.Name, "pid", e.PID, "code", e.ExitCode, "life", life.String())
	if svc.stopping || svc.spec.Restart == wire.RestartNever {
		s.setStateLocked(svc, wire.StateStopped)
		return
	}
	s.setStateLocked(svc, wire.StateBackoff)
	svc.timer = time.AfterFunc(svc.backoff.ended(life, e.Signal == int(unix.SIGKILL)), func() { s.restart(svc) })
}

// restart runs from a timer; a stop in between has changed the state.
func (s *Supervisor) restart(svc *service) {
	s.mu.Lock()
	if svc.stopping || svc.state != wire.StateBackoff {
		s.mu.Unlock()
		return
	}
	svc.restarts++
	c, err := s.spawnLocked(svc)
	if err != nil {
		svc.timer = time.AfterFunc(svc.backoff.ended(0, false), func() { s.restart(svc) })
	}
	s.mu.Unlock()
	if err == nil {
		err = c.result()
	}
	if err != nil {
		s.log.Error("cannot restart service", "service", svc.spec.Name, "error", err)
	}
}

// List returns the services by name.
func (s *Supervisor) List() []wire.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]wire.Status, 0, len(s.services))
	for _, svc := range s.services {
		out = append(out, svc.statusLocked())
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func (v *service) statusLocked() wire.Status {
	return wire.Status{Name: v.spec.Name, State: v.state, PID: v.id.PID, StartTime: v.id.StartTime,
		Restarts: v.restarts, Since: v.since, LastExit: v.lastExit}
}

func validate(spec *wire.Service) error {
	invalid := func(msg string) error {
		return &wire.Error{Code: wire.CodeInvalid, Message: "service: " + msg}
	}
	switch {
	case spec.Name == "":
		return invalid("name is empty")
	case len(spec.Argv) == 0 || !filepath.IsAbs(spec.Argv[0]):
		return invalid("argv must begin with an absolute path")
	case len(spec.Listen) > 64:
		return invalid("more than 64 sockets")
	}
	switch spec.Restart {
	case "":
		spec.Restart = wire.RestartAlways
	case wire.RestartAlways, wire.RestartNever:
	default:
		return invalid("restart must be always or never")
	}
	return nil
}

func millis(n int64, otherwise time.Duration) time.Duration {
	if n <= 0 {
		return otherwise
	}
	return time.Duration(n) * time.Millisecond
}

func grace(spec wire.Service) time.Duration { return millis(spec.StopGraceMillis, 10*time.Second) }

// ErrNoService says that no service has that name.
var ErrNoService = errors.New("no such service")
