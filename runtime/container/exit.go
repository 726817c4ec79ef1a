package container

import (
	"errors"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/logs"
	"github.com/knarr-io/knarr/runtime/proc"
)

const (
	// drainWait is how long an ended container's output is waited for that a
	// descendant elsewhere may still write.
	drainWait = 2 * time.Second
	// logWait is how long the disk may then take with what there is. It is less
	// than killWait, so that whoever stops a container is not told that it lives.
	logWait = time.Minute
	// exitWait is how long keep may take to tell how a process ended.
	exitWait = 5 * time.Second
)

// watch waits for the container's process and then ends the container. It
// returns early, and leaves the container alone, when the runtime ends. With
// orphan, the process is no child of keep's either: nobody will tell how it ended.
func (m *Manager) watch(c *Container, h *proc.Handle, id proc.ID, orphan bool) {
	exit := proc.Status{Code: codeUnknown}
	known := false
	if h != nil {
		defer h.Close()
		if err := h.Wait(m.life); err != nil && m.life.Err() != nil {
			return
		}
		st, err := h.Peek()
		switch {
		case err == nil:
			exit, known = st, true
		case !errors.Is(err, proc.ErrNotChild):
			c.logger(m.cfg.Log).Warn("cannot learn how a container ended", "error", err)
		}
	}
	if !known {
		if e, ok := m.cfg.Keeper.Exit(m.life, id, h == nil || orphan, exitWait); ok {
			exit, known = proc.Status{Code: e.ExitCode, Signal: e.Signal}, true
		}
		if m.life.Err() != nil {
			return
		}
	}
	status := m.exitStatus(c, exit, known)
	// Written before the process is reaped: after a kill the next runtime reads
	// it here, or asks keep, which reaps what is left to it. If it cannot be
	// written anywhere the process is left to keep for the same reason.
	if err := m.saveStatus(c, status); err != nil {
		c.logger(m.cfg.Log).Error("cannot write down how a container ended", "code", status.ExitCode, "error", err)
	} else {
		if h != nil {
			_, _ = h.Reap() // not a child: keep has reaped it
		}
		m.cfg.Keeper.Forget(id)
	}
	m.finish(c, status)
}

// finish ends what an ended container left, and tells of the end when its
// output is in the log. It may be repeated.
func (m *Manager) finish(c *Container, status Status) {
	if !c.Meta.OwnPID {
		if err := m.engine(c).KillAll(c.Meta.ID); err != nil {
			c.logger(m.cfg.Log).Warn("cannot end what an ended container left", "error", err)
		}
	}
	m.drain(c)
	m.ended(c, status)
}

// drain waits until the output of an ended container is in its log.
func (m *Manager) drain(c *Container) {
	c.mu.Lock()
	drained, streams := c.drained, c.streams
	c.mu.Unlock()
	if drained == nil || streams == nil || logs.Drained(drained, drainWait) {
		return
	}
	streams.Finish()
	if !logs.Drained(drained, logWait) {
		c.logger(m.cfg.Log).Warn("a container ended, but its log does not take the last of its output")
	}
}

func (m *Manager) exitStatus(c *Container, exit proc.Status, known bool) Status {
	s := c.Status()
	s.State, s.Finished, s.ExitCode = cri.ContainerState_CONTAINER_EXITED, time.Now(), exit.Code
	switch {
	case m.cfg.Cgroups.OOMKills(c.Meta.Cgroup) > 0:
		s.Reason = ReasonOOMKilled
	case !known:
		s.Reason, s.Message = ReasonUnknown, "the container ended while nothing could observe it"
	case exit.Code == 0:
		s.Reason = ReasonCompleted
	default:
		s.Reason = ReasonError
	}
	return s
}
