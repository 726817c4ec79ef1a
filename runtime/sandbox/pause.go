package sandbox

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/nspace"
	"github.com/knarr-io/knarr/runtime/proc"
)

func setHostname(name string) error {
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("set hostname %q: %w", name, err)
	}
	return nil
}

// startPause starts the first process of the pod's PID namespace. It reaps
// what the pod's containers leave behind, and uses their IPC namespace.
func (m *Manager) startPause(s *Sandbox) error {
	if s.Pause().PID != 0 {
		return m.watchPause(s) // it made the pod's namespaces
	}
	var err error
	if s.HostIPC() {
		err = m.forkPause(s)
	} else {
		err = nspace.Do(nspace.Path(s.NamespaceDir(), nspace.IPC), nspace.IPC, func() error { return m.forkPause(s) })
	}
	if err != nil {
		return err
	}
	return m.watchPause(s)
}

func (m *Manager) forkPause(s *Sandbox) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	fd := null.Fd()
	pid, err := syscall.ForkExec(m.cfg.PauseBinary, []string{"knarr-pause"}, &syscall.ProcAttr{
		Dir: "/", Env: []string{}, Files: []uintptr{fd, fd, fd},
		Sys: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Setsid: true}})
	if err != nil {
		return fmt.Errorf("start %s: %w", m.cfg.PauseBinary, err)
	}
	id, err := proc.Identify(pid)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pause = id
	return nil
}

// watchPause makes the sandbox not ready when its process ends before it was stopped.
func (m *Manager) watchPause(s *Sandbox) error {
	h, err := s.Pause().Watch()
	if err != nil {
		return fmt.Errorf("pause process: %w", err)
	}
	go func() {
		defer h.Close()
		if h.Wait(m.life) != nil {
			return
		}
		_, _ = h.Reap() // not a child: keep reaps it
		if s.Ready() {
			m.cfg.Log.Warn("the process of a pod's PID namespace ended", "sandbox", s.ID)
			s.setReady(false)
			m.cfg.Notify(s)
		}
	}()
	return nil
}

// stopPause ends the process, and with it all that is left in its PID namespace.
func (m *Manager) stopPause(s *Sandbox) error {
	id := s.Pause()
	if id.PID == 0 {
		return nil
	}
	h, err := id.Watch()
	if err != nil {
		return nil // it is gone
	}
	defer h.Close()
	if err := h.Signal(unix.SIGKILL); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := h.Wait(ctx); err != nil {
		return fmt.Errorf("pause process %d does not end: %w", id.PID, err)
	}
	_, _ = h.Reap() // not a child: keep reaps it
	return nil
}
