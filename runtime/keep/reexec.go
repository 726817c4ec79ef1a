package keep

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keep/holds"
	"github.com/knarr-io/knarr/runtime/keep/supervisor"
)

// stateEnv names the descriptor of the memory file that carries a handover.
const stateEnv = "KNARR_KEEP_STATE_FD"

// handover is what passes from a keep to the program that it execs.
type handover struct {
	Control  int                   `json:"control"`
	Services []supervisor.Snapshot `json:"services,omitempty"`
	Holds    map[string][]int      `json:"holds,omitempty"`
}

// takeOver reads the handover of an earlier keep in this process, if there is one.
func takeOver() (handover, error) {
	var h handover
	v, ok := os.LookupEnv(stateEnv)
	if !ok {
		return h, nil
	}
	os.Unsetenv(stateEnv)
	fd, err := strconv.Atoi(v)
	if err != nil {
		return h, fmt.Errorf("%s: %w", stateEnv, err)
	}
	f := os.NewFile(uintptr(fd), "handover")
	defer f.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return h, err
	}
	if err := json.NewDecoder(f).Decode(&h); err != nil {
		return h, fmt.Errorf("handover: %w", err)
	}
	unix.CloseOnExec(h.Control)
	for _, fds := range h.Holds {
		for _, fd := range fds {
			unix.CloseOnExec(fd)
		}
	}
	return h, nil
}

// reexec runs the program at path in this process. Children stay children.
func reexec(path string, ln *net.UnixListener, sup *supervisor.Supervisor, table *holds.Table) error {
	// Fail while failing is still possible without harm.
	if err := unix.Access(path, unix.X_OK); err != nil {
		return fmt.Errorf("run %s: %w", path, err)
	}
	control, err := ln.File()
	if err != nil {
		return err
	}
	defer control.Close()
	services, release := sup.Snapshots()
	defer release()
	h := handover{Control: int(control.Fd()), Services: services, Holds: table.All()}
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	mem, err := unix.MemfdCreate("knarr-keep", 0)
	if err != nil {
		return err
	}
	defer unix.Close(mem)
	if _, err := unix.Pwrite(mem, data, 0); err != nil {
		return err
	}
	if err := inherit(h, true); err != nil {
		return err
	}
	err = unix.Exec(path, append([]string{path}, os.Args[1:]...), append(os.Environ(), stateEnv+"="+strconv.Itoa(mem)))
	if undo := inherit(h, false); undo != nil {
		return fmt.Errorf("%w; and then: %w", err, undo)
	}
	return fmt.Errorf("run %s: %w", path, err)
}

// inherit sets whether an exec keeps the descriptors of h open.
func inherit(h handover, keep bool) error {
	flags := unix.FD_CLOEXEC
	if keep {
		flags = 0
	}
	all := []int{h.Control}
	for _, s := range h.Services {
		all = append(all, s.Sockets...)
	}
	for _, fds := range h.Holds {
		all = append(all, fds...)
	}
	for _, fd := range all {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags); err != nil {
			return fmt.Errorf("descriptor %d: %w", fd, err)
		}
	}
	return nil
}
