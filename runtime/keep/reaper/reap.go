package reaper

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keep/wire"
	"github.com/knarr-io/knarr/runtime/proc"
)

// siginfo codes of waitid(2).
const (
	cldExited = 1
)

// childInfo is siginfo_t as waitid fills it on 64-bit Linux.
type childInfo struct {
	Signo, Errno, Code, _ int32
	PID, UID, Status      int32
	_                     [100]byte
}

// Reap calls record for every child that has ended, then reaps it. It never
// blocks, and returns when no ended child is left.
func Reap(record func(wire.Exit)) error {
	for {
		var info childInfo
		err := waitid(&info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECHILD):
			return nil
		case err != nil:
			return err
		case info.PID == 0:
			return nil
		}
		record(describe(info))
		if _, err := unix.Wait4(int(info.PID), nil, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func describe(info childInfo) wire.Exit {
	e := wire.Exit{PID: int(info.PID), Time: time.Now()}
	// A zombie's stat is readable until it is reaped.
	if id, err := proc.Identify(e.PID); err == nil {
		e.StartTime = id.StartTime
	}
	if info.Code == cldExited {
		e.ExitCode = int(info.Status)
	} else {
		e.Signal = int(info.Status)
		e.ExitCode = 128 + e.Signal
	}
	return e
}
