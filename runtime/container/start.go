package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/logs"
	"github.com/knarr-io/knarr/runtime/proc"
	"github.com/knarr-io/knarr/runtime/stdio"
)

// Start runs a created container. A container that cannot run has ended with StartError.
func (m *Manager) Start(_ context.Context, id string) error {
	c, err := m.Get(id)
	if err != nil {
		return err
	}
	c.op.Lock()
	defer c.op.Unlock()
	if st := c.State(); st != cri.ContainerState_CONTAINER_CREATED {
		return fault.New(fault.Precondition, "container %s cannot be started, its state is %s", c.Meta.ID, st)
	}
	sb, err := m.cfg.Sandboxes.Get(c.Meta.SandboxID)
	if err != nil {
		return err
	}
	if !sb.Ready() {
		return fault.New(fault.Precondition, "sandbox %s is not ready", sb.ID)
	}
	handle, err := m.launch(c, usersOf(sb))
	if err != nil {
		m.startFailed(c, err)
		return err
	}
	// Told before its end can be: a process may end at once.
	m.cfg.Notify(cri.ContainerEventType_CONTAINER_STARTED_EVENT, c)
	go m.watch(c, handle, c.Status().Process, false)
	if !sb.Ready() {
		// Who stopped it may have looked for what runs before this did.
		return errors.Join(stoppedMeanwhile(sb), m.kill(c))
	}
	return nil
}

// launch makes the streams, the log and the process, writes it down, and lets it run.
func (m *Manager) launch(c *Container, users *users) (*proc.Handle, error) {
	s, err := m.readSpec(c.Meta.ID)
	if err != nil {
		return nil, err
	}
	streams, child, err := stdio.New(m.cfg.Keeper, c.Meta.ID, c.Config.GetTty(), c.Config.GetStdin())
	if err != nil {
		return nil, err
	}
	defer child.Close()
	if err := users.ownStreams(child.Stdin, child.Stdout, child.Stderr); err != nil {
		streams.Close()
		return nil, err
	}
	writer, err := m.openLog(c)
	if err != nil {
		streams.Close()
		return nil, err
	}
	c.mu.Lock()
	c.streams, c.writer = streams, writer
	c.mu.Unlock()
	created, err := m.engine(c).Create(c.Meta.ID, s, child.Stdio)
	if err != nil {
		return nil, fmt.Errorf("failed to create container process: %w", err)
	}
	if c.Config.GetTty() {
		if err := streams.Terminal(child); err != nil {
			return nil, err
		}
	}
	// The process may be a child of keep's: a handler's program makes it and goes away.
	m.cfg.Keeper.Want(created.ID)
	handle, err := created.ID.Watch()
	if err != nil {
		return nil, fmt.Errorf("watch container process: %w", err)
	}
	status := c.Status()
	status.State, status.Process, status.Boot, status.Started = cri.ContainerState_CONTAINER_RUNNING, created.ID, m.cfg.Boot, time.Now()
	if err := m.saveStatus(c, status); err != nil {
		handle.Close()
		return nil, err
	}
	// From here on the container is pumped and watched, whatever happens.
	m.pump(c)
	if err := created.Run(); err != nil {
		handle.Close()
		return nil, fmt.Errorf("failed to run container process: %w", err)
	}
	c.setStatus(status)
	return handle, nil
}

func (m *Manager) openLog(c *Container) (*logs.Writer, error) {
	path := c.Meta.LogPath
	if path == "" {
		path = os.DevNull
	}
	return logs.Open(filepath.Join(m.state(c.Meta.ID), "log"), path, &m.buffers, c.logger(m.cfg.Log))
}

// pump moves output into the log until there is none, and then closes the log.
func (m *Manager) pump(c *Container) {
	drained := make(chan struct{})
	c.mu.Lock()
	c.drained = drained
	streams, writer := c.streams, c.writer
	c.mu.Unlock()
	go func() {
		defer close(drained)
		err := streams.Pump(writer)
		switch log := c.logger(m.cfg.Log); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			log.Warn("a container ended, but its output is still open elsewhere")
		case err != nil && m.life.Err() == nil:
			log.Debug("container output ended", "error", err)
		}
		streams.Taps.Close()
	}()
}

// startFailed writes down that a container could not run, and removes what it left.
func (m *Manager) startFailed(c *Container, cause error) {
	now := time.Now()
	s := Status{State: cri.ContainerState_CONTAINER_EXITED, Started: now, Finished: now,
		ExitCode: codeStartError, Reason: ReasonStartError, Message: cause.Error()}
	if err := m.saveStatus(c, s); err != nil {
		c.logger(m.cfg.Log).Error("cannot write down that a container did not start", "error", err)
	}
	m.ended(c, s)
}

// ended lets everybody know of an end that is written down, and gives back what the container held.
func (m *Manager) ended(c *Container, s Status) {
	c.mu.Lock()
	c.status = s
	ended := c.ended
	c.mu.Unlock()
	// Told before those go on who wait for the end, and tell what comes after it.
	m.cfg.Notify(cri.ContainerEventType_CONTAINER_STOPPED_EVENT, c)
	select {
	case <-ended:
	default:
		close(ended)
	}
	if err := m.release(c); err != nil {
		c.logger(m.cfg.Log).Warn("something of an ended container stays until its removal", "error", err)
	}
}

// release gives back processes, cgroups, streams and mounts. It may be repeated.
func (m *Manager) release(c *Container) error {
	c.releasing.Lock()
	defer c.releasing.Unlock()
	err := m.engine(c).Destroy(c.Meta.ID)
	c.mu.Lock()
	streams, writer := c.streams, c.writer
	c.streams, c.writer = nil, nil
	c.mu.Unlock()
	if streams != nil {
		streams.Close()
	}
	if writer != nil {
		writer.Close()
	}
	stdio.Drop(m.cfg.Keeper, c.Meta.ID)
	return errors.Join(err, m.unmountAll(c.Meta.ID))
}

func (m *Manager) unmountAll(id string) error {
	err := unmount(m.rootfs(id))
	for _, pattern := range []string{volumePrefix + "*", lowerPrefix + "*/*"} {
		mounts, gerr := filepath.Glob(filepath.Join(m.state(id), pattern))
		err = errors.Join(err, gerr)
		for _, v := range mounts {
			err = errors.Join(err, unmount(v))
		}
	}
	return err
}
