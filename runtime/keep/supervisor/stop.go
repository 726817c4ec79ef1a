package supervisor

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keep/wire"
)

// Stop ends the service, closes its sockets and forgets it. It blocks until
// the program is gone; after grace it is killed.
func (s *Supervisor) Stop(name string, sig unix.Signal, grace time.Duration) error {
	s.mu.Lock()
	svc := s.services[name]
	left, hasLeft := s.leftover[name]
	s.mu.Unlock()
	if hasLeft {
		if err := left.Terminate(sig, grace); err != nil {
			return err
		}
		s.forgetLeftover(name)
	}
	if svc == nil {
		if hasLeft {
			return nil
		}
		return ErrNoService
	}
	svc.op.Lock()
	defer svc.op.Unlock()
	if err := s.halt(svc, sig, grace); err != nil {
		return err
	}
	s.discard(svc)
	return nil
}

func (s *Supervisor) forgetLeftover(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leftover, name)
	s.savePIDsLocked()
}

// StopAll stops every service at the same time.
func (s *Supervisor) StopAll() error {
	var waits []chan error
	for _, st := range s.List() {
		svc := s.entry(st.Name)
		s.mu.Lock()
		g := grace(svc.spec)
		s.mu.Unlock()
		done := make(chan error, 1)
		waits = append(waits, done)
		go func() { done <- s.Stop(st.Name, unix.SIGTERM, g) }()
	}
	var first error
	for _, done := range waits {
		if err := <-done; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// halt ends the service's process, if there is one, and keeps its sockets.
func (s *Supervisor) halt(svc *service, sig unix.Signal, grace time.Duration) error {
	s.mu.Lock()
	svc.stopping = true
	if svc.timer != nil {
		svc.timer.Stop()
	}
	if svc.state == wire.StateBackoff {
		s.setStateLocked(svc, wire.StateStopped)
	}
	id, gone, running := svc.id, svc.gone, svc.state == wire.StateRunning
	s.mu.Unlock()
	if !running {
		return nil
	}
	if err := id.Terminate(sig, grace); err != nil {
		return err
	}
	<-gone
	return nil
}

// discard closes the sockets and forgets the service.
func (s *Supervisor) discard(svc *service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fd := range svc.sockets {
		unix.Close(fd)
	}
	svc.sockets = nil
	s.rotating.unwatch(svc.spec.Log)
	if s.services[svc.spec.Name] == svc {
		delete(s.services, svc.spec.Name)
	}
	s.savePIDsLocked()
}

// exchangeSockets opens what want names and svc has not, and closes what want does not name.
func (s *Supervisor) exchangeSockets(svc *service, want []wire.Socket) error {
	s.mu.Lock()
	have := map[wire.Socket]int{}
	for i, sock := range svc.spec.Listen {
		if i < len(svc.sockets) {
			have[sock] = svc.sockets[i]
		}
	}
	s.mu.Unlock()
	var fds, opened []int
	for _, sock := range want {
		fd, ok := have[sock]
		if !ok {
			var err error
			if fd, err = openSocket(sock); err != nil {
				closeAll(opened)
				return err
			}
			opened = append(opened, fd)
		}
		delete(have, sock)
		fds = append(fds, fd)
	}
	for _, fd := range have {
		unix.Close(fd)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	svc.sockets = fds
	return nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
