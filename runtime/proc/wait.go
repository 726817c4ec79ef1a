package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Status is how a process ended.
type Status struct {
	// Code is the exit code, or 128+signal.
	Code   int
	Signal int
}

// Handle watches one process without a thread of its own. It must be closed.
type Handle struct {
	ID   ID
	file *os.File
}

// Watch opens a handle. The error is unix.ESRCH if the process is gone.
func (id ID) Watch() (*Handle, error) {
	fd, err := id.Open()
	if err != nil {
		return nil, err
	}
	return &Handle{ID: id, file: os.NewFile(uintptr(fd), "pidfd")}, nil
}

// Close releases the handle.
func (h *Handle) Close() { h.file.Close() }

// Wait returns when the process has ended or ctx is done. The process is not reaped.
func (h *Handle) Wait(ctx context.Context) error {
	raw, err := h.file.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = h.file.SetReadDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() {
			_ = h.file.SetReadDeadline(time.Time{})
		}
	}()
	err = raw.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 || (err != nil && !errors.Is(err, unix.EINTR))
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// ErrNotChild says that only another process can know how this one ended.
var ErrNotChild = errors.New("process is not a child")

// Peek returns how an ended child ended, and leaves it to be reaped.
func (h *Handle) Peek() (Status, error) { return h.waitid(unix.WNOWAIT) }

// Reap returns how an ended child ended, and reaps it.
func (h *Handle) Reap() (Status, error) { return h.waitid(0) }

// siginfo is siginfo_t as waitid(2) fills it on 64-bit Linux.
type siginfo struct {
	_, _, code, _  int32
	pid, _, status int32
	_              [100]byte
}

// cldExited is the code of a child that exited by itself.
const cldExited = 1

func (h *Handle) waitid(flags int) (Status, error) {
	raw, err := h.file.SyscallConn()
	if err != nil {
		return Status{}, err
	}
	var info siginfo
	var werr error
	err = raw.Control(func(fd uintptr) {
		for {
			werr = unix.Waitid(unix.P_PIDFD, int(fd), (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOHANG|flags, nil)
			if !errors.Is(werr, unix.EINTR) {
				return
			}
		}
	})
	switch {
	case err != nil:
		return Status{}, err
	case errors.Is(werr, unix.ECHILD):
		return Status{}, ErrNotChild
	case werr != nil:
		return Status{}, fmt.Errorf("wait for process %d: %w", h.ID.PID, werr)
	case info.pid == 0:
		return Status{}, fmt.Errorf("process %d runs", h.ID.PID)
	case info.code == cldExited:
		return Status{Code: int(info.status)}, nil
	}
	return Status{Code: 128 + int(info.status), Signal: int(info.status)}, nil
}

// Signal sends sig by the handle. A process that has ended is no error.
func (h *Handle) Signal(sig unix.Signal) error {
	raw, err := h.file.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) { serr = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	if err == nil && serr != nil && !errors.Is(serr, unix.ESRCH) {
		return serr
	}
	return err
}
