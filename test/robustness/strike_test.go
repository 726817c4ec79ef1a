package robustness

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// striker carries faults out on a server, and brings it back as knarr-keep
// would.
type striker struct {
	server  *server
	api     *api
	notes   *notes
	count   *counter // of the requests that are answered
	tally   *tally
	starved bool // the disk is full, or was when the process started
}

// strike carries a fault out and returns when the server is back.
func (s *striker) strike(ctx context.Context, f fault) error {
	if err := s.count.more(ctx, f.after); err != nil {
		return err
	}
	if len(s.notes.all()) > 0 {
		return errors.New("the round ends here: something is wrong already")
	}
	if !s.server.alive() {
		s.notes.add("the server ended by itself before this: %v", f)
	}
	s.tally.faults[f.kind]++
	if err := s.act(ctx, f); err != nil {
		return fmt.Errorf("%v: %w", f, err)
	}
	return s.back(ctx)
}

func (s *striker) act(ctx context.Context, f fault) error {
	switch f.kind {
	case kill:
		return s.kill(ctx)
	case killStarting:
		if err := s.kill(ctx); err != nil {
			return err
		}
		if err := s.server.launch(); err != nil {
			return err
		}
		linger(ctx, f.hold)
		return s.kill(ctx)
	case pause, killPaused:
		s.server.signal(syscall.SIGSTOP)
		linger(ctx, f.hold)
		if f.kind == killPaused {
			return s.kill(ctx)
		}
		s.server.signal(syscall.SIGCONT)
		return nil
	case terminate:
		s.server.signal(syscall.SIGTERM)
		return s.server.gone(ctx)
	}
	return s.starve(ctx, f)
}

func (s *striker) kill(ctx context.Context) error {
	s.tally.crashes++
	return s.server.kill(ctx)
}

// starve fills the disk for a while. The server may end then, and may fail to
// start; what it answers counts as ever.
func (s *striker) starve(ctx context.Context, f fault) (err error) {
	if err := s.server.disk.fill(f.left); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.server.disk.empty()) }()
	s.starved = true
	linger(ctx, f.hold)
	if s.server.alive() {
		// It goes on to read: some are answered.
		if err := s.count.more(ctx, f.during); err != nil && s.server.alive() {
			s.notes.add("with a full disk: %v", err)
		}
	}
	if f.kind == fullKill {
		if err := s.kill(ctx); err != nil {
			return err
		}
		if err := s.server.launch(); err != nil {
			return err
		}
		linger(ctx, f.hold)
	}
	return nil
}

// back returns when the server answers, and starts it where it does not run.
func (s *striker) back(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	start := time.Now()
	var last error
	for ctx.Err() == nil {
		if !s.server.alive() {
			if err := s.relaunch(ctx); err != nil {
				return err
			}
		}
		if last = s.api.ready(ctx); last == nil {
			s.tally.starts = append(s.tally.starts, time.Since(start))
			s.starved = false
			return nil
		}
		linger(ctx, 5*time.Millisecond)
	}
	return fmt.Errorf("the server does not come back within %s: %w", startTime, last)
}

// relaunch starts a process after one that ended, which must have had a reason.
func (s *striker) relaunch(ctx context.Context) error {
	state := s.server.cmd.ProcessState
	status := state.Sys().(syscall.WaitStatus)
	switch ours := status.Signaled() && status.Signal() == syscall.SIGKILL || state.Success(); {
	case ours:
	case s.starved:
		s.tally.failures++
		linger(ctx, 100*time.Millisecond)
	default:
		s.notes.add("the server ended with %v", state)
		linger(ctx, 100*time.Millisecond)
	}
	return s.server.launch()
}
