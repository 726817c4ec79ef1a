package proc

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Drops tells whether a signal from outside would be lost on the process: the
// kernel drops one for the first process of a PID namespace that neither
// handles nor blocks it (pid_namespaces(7)). A process that is gone drops none.
func (id ID) Drops(sig unix.Signal) (bool, error) {
	if sig == unix.SIGKILL || sig == unix.SIGSTOP {
		return false, nil
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(id.PID) + "/status")
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return drops(string(text), sig)
}

// initStage begins the name of a process that libcontainer is still preparing.
// It handles every signal, as a Go program, but what comes to it then is lost
// when it becomes the container's program.
const initStage = "runc:["

// drops reads /proc/pid/status.
func drops(status string, sig unix.Signal) (bool, error) {
	first, preparing := false, false
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "Name":
			preparing = strings.HasPrefix(strings.TrimSpace(value), initStage)
		case "NSpid": // in each PID namespace that the process is in, from the outside in
			pids := strings.Fields(value)
			first = len(pids) > 1 && pids[len(pids)-1] == "1"
		case "SigBlk", "SigCgt":
			set, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			if err != nil {
				return false, fmt.Errorf("process status: %s: %w", name, err)
			}
			if set>>(sig-1)&1 == 1 && !preparing {
				return false, nil
			}
		}
	}
	return first, nil
}
