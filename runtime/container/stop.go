package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/stdio"
)

// killWait is how long a killed container may take to end: one that waits for a
// disk takes as long as the disk. It is less than the two minutes that callers
// wait beyond the grace, so that they are told.
const killWait = 90 * time.Second

// Stop asks the container to end and kills it after timeout; with a timeout of
// zero at once. It returns when the container has ended.
func (m *Manager) Stop(ctx context.Context, c *Container, timeout time.Duration) error {
	if c.State() != cri.ContainerState_CONTAINER_RUNNING {
		return nil
	}
	if timeout > 0 {
		sig, err := parseSignal(c.Meta.StopSignal)
		if err != nil {
			c.logger(m.cfg.Log).Warn("unknown stop signal: using SIGTERM", "signal", c.Meta.StopSignal)
			sig = unix.SIGTERM
		}
		deadline := time.Now().Add(timeout)
		if ended, err := m.awaitHandler(ctx, c, sig, timeout/2); ended || err != nil {
			return err
		}
		if err := c.Status().Process.Signal(sig); err != nil {
			return fmt.Errorf("signal container %s: %w", c.Meta.ID, err)
		}
		if ended, err := m.waitEnded(ctx, c, time.Until(deadline)); ended || err != nil {
			return err
		}
	}
	if err := m.kill(c); err != nil {
		return err
	}
	ended, err := m.waitEnded(ctx, c, killWait)
	if err == nil && !ended {
		return fault.New(fault.DeadlineExceeded, "container %s does not end though it was killed", c.Meta.ID)
	}
	return err
}

// The pauses between looks at whether a stop signal would be lost.
const (
	firstLook = time.Millisecond
	lastLook  = 100 * time.Millisecond
)

// awaitHandler waits, for so long at most, while the kernel would drop the
// signal: a program that has just begun may be about to handle it, and would
// otherwise be killed at the end of its time without ever having been asked.
// The kernel tells nobody of a handler, so that one has to look.
func (m *Manager) awaitHandler(ctx context.Context, c *Container, sig unix.Signal, most time.Duration) (ended bool, err error) {
	deadline := time.Now().Add(most)
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		lost, err := c.Status().Process.Drops(sig)
		if err != nil {
			return false, fmt.Errorf("look at container %s: %w", c.Meta.ID, err)
		}
		left := time.Until(deadline)
		if !lost || left <= 0 {
			return false, nil
		}
		if ended, err := m.waitEnded(ctx, c, min(pause, left)); ended || err != nil {
			return ended, err
		}
	}
}

func (m *Manager) kill(c *Container) error {
	if err := c.Status().Process.Signal(unix.SIGKILL); err != nil {
		return fmt.Errorf("kill container %s: %w", c.Meta.ID, err)
	}
	if c.Meta.OwnPID {
		return nil
	}
	return m.engine(c).KillAll(c.Meta.ID)
}

func (m *Manager) waitEnded(ctx context.Context, c *Container, timeout time.Duration) (bool, error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-c.Ended():
		return true, nil
	case <-timer.C:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// Remove ends the container if it runs, and removes everything of it. One that
// is not there is no error.
func (m *Manager) Remove(ctx context.Context, id string) error {
	c, err := m.Get(id)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := m.Stop(ctx, c, 0); err != nil {
		return err
	}
	c.op.Lock()
	defer c.op.Unlock()
	if c.State() == cri.ContainerState_CONTAINER_RUNNING {
		return fault.New(fault.Precondition, "container %s was started meanwhile", c.Meta.ID)
	}
	if err := errors.Join(m.release(c), m.scrap(c.Meta.ID)); err != nil {
		return err
	}
	m.mu.Lock()
	_, there := m.containers[c.Meta.ID]
	delete(m.containers, c.Meta.ID)
	m.mu.Unlock()
	m.cfg.Images.Release(c.Meta.ID)
	if there {
		m.cfg.Notify(cri.ContainerEventType_CONTAINER_DELETED_EVENT, c)
	}
	return nil
}

// scrap removes the files of a container. The record goes first, so that a
// kill in between leaves one that is found incomplete.
func (m *Manager) scrap(id string) error {
	os.Remove(m.dir(id) + "/meta.json")
	stdio.Drop(m.cfg.Keeper, id)
	// Nothing may be deleted through a mount that stayed.
	if err := errors.Join(m.destroy(id), m.unmountAll(id)); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(m.state(id)), os.RemoveAll(m.dir(id)))
}

// parseSignal reads a signal by its number or name, such as 15, TERM, SIGTERM or SIGRTMIN+3.
func parseSignal(s string) (unix.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n <= 0 || n > 64 {
			return 0, fmt.Errorf("signal %d is out of range", n)
		}
		return unix.Signal(n), nil
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return sig, nil
	}
	for prefix, base := range map[string]int{"SIGRTMIN": 34, "SIGRTMAX": 64} {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(rest)
		if rest == "" {
			n, err = 0, nil
		}
		if err == nil && base+n >= 34 && base+n <= 64 {
			return unix.Signal(base + n), nil
		}
	}
	return 0, fmt.Errorf("unknown signal %q", s)
}
