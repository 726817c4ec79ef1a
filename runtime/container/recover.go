package container

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/proc"
	"github.com/knarr-io/knarr/runtime/stdio"
)

// Want asks keep about every container that ran. It must come before the keeper runs.
func (m *Manager) Want() {
	for _, c := range m.List() {
		if s := c.Status(); s.State == cri.ContainerState_CONTAINER_RUNNING && s.Process.PID != 0 {
			m.cfg.Keeper.Want(s.Process)
		}
	}
}

// Resume takes up the containers of earlier runs: those that run go on being
// watched and logged, those that ended meanwhile are seen to their end, and
// starts that were cut short are completed or undone.
func (m *Manager) Resume() {
	var wait sync.WaitGroup
	for _, c := range m.List() {
		wait.Add(1)
		go func() {
			defer wait.Done()
			m.resume(c)
		}()
	}
	wait.Wait()
	for _, c := range m.List() {
		if _, err := m.cfg.Sandboxes.Get(c.Meta.SandboxID); fault.Is(err, fault.NotFound) {
			go m.removeLost(c)
		}
	}
}

// removeLost removes a container whose sandbox has no record, as after a power
// cut: nobody who goes by sandboxes would ever ask for that.
func (m *Manager) removeLost(c *Container) {
	log := c.logger(m.cfg.Log)
	log.Warn("removing a container whose sandbox is not known", "sandbox", c.Meta.SandboxID)
	if err := m.Remove(m.life, c.Meta.ID); err != nil && m.life.Err() == nil {
		log.Error("cannot remove a container whose sandbox is not known", "error", err)
	}
}

func (m *Manager) resume(c *Container) {
	log := c.logger(m.cfg.Log)
	s := c.Status()
	switch s.State {
	case cri.ContainerState_CONTAINER_CREATED:
		// A process may have been made, but none was let run.
		if err := m.engine(c).Destroy(c.Meta.ID); err != nil {
			log.Warn("cannot undo a start that was cut short", "error", err)
		}
	case cri.ContainerState_CONTAINER_EXITED:
		m.resumeEnded(c, s)
	case cri.ContainerState_CONTAINER_RUNNING:
		m.resumeRunning(c, s)
	}
}

// resumeEnded takes up a container whose end is written down. Where keep still
// holds its streams, a kill came before all of its output was in the log.
func (m *Manager) resumeEnded(c *Container, s Status) {
	log := c.logger(m.cfg.Log)
	streams, err := m.recoverStreams(c)
	if err == nil {
		if err = m.resumeLog(c, streams); err == nil {
			m.finish(c, s)
			return
		}
		streams.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		log.Warn("output of a container from before is lost", "error", err)
	}
	close(c.ended)
	if err := m.release(c); err != nil {
		log.Warn("something of an ended container stays until its removal", "error", err)
	}
}

func (m *Manager) resumeRunning(c *Container, s Status) {
	log := c.logger(m.cfg.Log)
	var handle *proc.Handle
	if s.Boot == m.cfg.Boot && s.Process.PID != 0 {
		h, err := s.Process.Watch()
		if err == nil {
			handle = h
		}
	}
	if err := m.resumeOutput(c); err != nil {
		log.Warn("output of a container from before is lost", "error", err)
	}
	if handle != nil && s.Process.Alive() {
		if err := m.engine(c).Resume(c.Meta.ID); err != nil {
			log.Warn("cannot complete the start of a container", "error", err)
		}
	}
	go m.watch(c, handle, s.Process, orphan(s.Process))
}

// orphan says whether a process belongs neither to this runtime nor to the
// keep that started it, as after a kill of an earlier keep.
func orphan(id proc.ID) bool {
	st, err := proc.ReadStat(id.PID)
	return err == nil && st.PPID != os.Getppid() && st.PPID != os.Getpid()
}

// resumeOutput finds the container's streams and goes on logging them. Where
// they are gone, what had left them is still written.
func (m *Manager) resumeOutput(c *Container) error {
	dir := filepath.Join(m.state(c.Meta.ID), "log")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil // before a reboot
	}
	streams, err := m.recoverStreams(c)
	if err == nil {
		return m.resumeLog(c, streams)
	}
	writer, lerr := m.openLog(c)
	if lerr == nil {
		writer.Finish()
		writer.Close()
	}
	return errors.Join(err, lerr)
}

func (m *Manager) recoverStreams(c *Container) (*stdio.Streams, error) {
	return stdio.Recover(m.cfg.Keeper, c.Meta.ID, c.Config.GetTty())
}

// resumeLog goes on moving a container's output into its log.
func (m *Manager) resumeLog(c *Container, streams *stdio.Streams) error {
	writer, err := m.openLog(c)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.streams, c.writer = streams, writer
	c.mu.Unlock()
	m.pump(c)
	return nil
}
