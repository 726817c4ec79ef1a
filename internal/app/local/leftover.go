package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// leftover is a service that runs on although its keep was killed. A new keep
// replaces it when the service is started; until then it holds its ports.
type leftover struct {
	PID int `json:"pid"`
	// StartTime is field 22 of /proc/PID/stat: with it a pid names one process.
	StartTime uint64 `json:"startTime"`
}

// leftovers are the services that a killed keep noted and that still run.
func (s Settings) leftovers() map[string]leftover {
	data, err := os.ReadFile(filepath.Join(s.keepState(), "services"))
	if err != nil {
		return nil // no keep has run
	}
	var noted map[string]leftover
	if json.Unmarshal(data, &noted) != nil {
		return nil // it was torn: its writer died in the middle
	}
	for name, l := range noted {
		if started, err := startTime(l.PID); err != nil || started != l.StartTime {
			delete(noted, name)
		}
	}
	return noted
}

func startTime(pid int) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold spaces: fields count from behind it.
	_, rest, found := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// end ends the process: by SIGTERM, and after the grace by SIGKILL.
func (l leftover) end(ctx context.Context, grace time.Duration) error {
	fd, err := unix.PidfdOpen(l.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("watch process %d: %w", l.PID, err)
	}
	defer unix.Close(fd)
	if started, err := startTime(l.PID); err != nil || started != l.StartTime {
		return nil // it ended meanwhile, and the pid is another's
	}
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(fd, signal, nil, 0); errors.Is(err, unix.ESRCH) {
			return nil
		} else if err != nil {
			return fmt.Errorf("end process %d: %w", l.PID, err)
		}
		ended, err := awaitEnd(ctx, fd, grace)
		if ended || err != nil {
			return err
		}
	}
	return fmt.Errorf("process %d does not end", l.PID)
}

// awaitEnd waits until the process behind a pidfd has ended.
func awaitEnd(ctx context.Context, fd int, bound time.Duration) (bool, error) {
	deadline := time.Now().Add(bound)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		const look = 100 // ms; only so that ctx is seen
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, look)
		if n > 0 {
			return true, nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false, fmt.Errorf("wait for a process: %w", err)
		}
	}
	return false, ctx.Err()
}
