package proc

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Open returns a pidfd of the process, close-on-exec and non-blocking, which
// the caller must close. The error is unix.ESRCH if the process is gone.
func (id ID) Open() (int, error) {
	fd, err := unix.PidfdOpen(id.PID, unix.PIDFD_NONBLOCK)
	if err != nil {
		return -1, err
	}
	// The pid may have been used again before the descriptor was open; after it, it cannot.
	if !id.Exists() {
		unix.Close(fd)
		return -1, unix.ESRCH
	}
	return fd, nil
}

// Signal sends sig to exactly this process. A process that is gone is no error.
func (id ID) Signal(sig unix.Signal) error {
	fd, err := id.Open()
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// Terminate sends sig, waits for grace, then kills, and waits for the end. It
// blocks; the process need not be a child.
func (id ID) Terminate(sig unix.Signal, grace time.Duration) error {
	fd, err := id.Open()
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("process %d: %w", id.PID, err)
	}
	defer unix.Close(fd)
	for _, step := range []struct {
		sig  unix.Signal
		wait time.Duration
	}{{sig, grace}, {unix.SIGKILL, 10 * time.Second}} {
		if err := unix.PidfdSendSignal(fd, step.sig, nil, 0); errors.Is(err, unix.ESRCH) {
			return nil
		}
		if ended(fd, step.wait) {
			return nil
		}
	}
	return fmt.Errorf("process %d does not end", id.PID)
}

// ended waits until the process behind fd has ended, at most for wait.
func ended(fd int, wait time.Duration) bool {
	deadline := time.Now().Add(wait)
	for {
		left := max(time.Until(deadline), 0)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false
		}
		if n > 0 {
			return true
		}
		if left == 0 {
			return false
		}
	}
}
