package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keep/wire"
)

// ExecArg is the first argument that makes keep's binary run ExecService.
const ExecArg = "exec-service"

// Descriptors of the child between fork and exec.
const (
	fdSpec   = 3
	fdStatus = 4
	fdListen = 5 // and up, moved to 3 and up before exec
)

// ExecService runs in the child: it joins cgroups, moves the sockets into
// place, drops privileges and becomes the service. It returns only on failure,
// after it has written the reason to the status pipe.
func ExecService() int {
	// Credentials belong to the thread that calls exec.
	runtime.LockOSThread()
	status, err := unix.FcntlInt(fdStatus, unix.F_DUPFD_CLOEXEC, 512)
	if err != nil {
		return 126
	}
	err = execService()
	_, _ = unix.Write(status, []byte(err.Error()))
	return 127
}

func execService() error {
	spec, err := readSpec()
	if err != nil {
		return fmt.Errorf("read spec: %w", err)
	}
	for _, dir := range spec.Cgroups {
		if err := os.WriteFile(dir+"/cgroup.procs", []byte("0"), 0); err != nil {
			return fmt.Errorf("join cgroup: %w", err)
		}
	}
	if err := placeSockets(len(spec.Listen)); err != nil {
		return fmt.Errorf("hand over sockets: %w", err)
	}
	if spec.Dir != "" {
		if err := os.Chdir(spec.Dir); err != nil {
			return err
		}
	}
	if err := dropPrivileges(spec); err != nil {
		return err
	}
	if err := unix.Exec(spec.Argv[0], spec.Argv, serviceEnv(spec)); err != nil {
		return fmt.Errorf("run %s: %w", spec.Argv[0], err)
	}
	return nil
}

func readSpec() (wire.Service, error) {
	var spec wire.Service
	f := os.NewFile(fdSpec, "spec")
	// Closed here, so that no finalizer closes what takes the number later.
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, 0, wire.MaxLine))
	if err != nil {
		return spec, err
	}
	return spec, json.Unmarshal(data, &spec)
}

func placeSockets(n int) error {
	unix.CloseOnExec(fdStatus)
	for i := range n {
		if err := unix.Dup3(fdListen+i, fdSpec+i, 0); err != nil {
			return err
		}
	}
	for fd := 3 + n; fd < fdListen+n; fd++ {
		unix.CloseOnExec(fd)
	}
	return nil
}

func serviceEnv(spec wire.Service) []string {
	env := append([]string(nil), spec.Env...)
	if len(spec.Listen) == 0 {
		return env
	}
	names := make([]string, len(spec.Listen))
	for i, s := range spec.Listen {
		names[i] = s.Name
	}
	return append(env,
		"LISTEN_FDS="+strconv.Itoa(len(names)),
		"LISTEN_PID="+strconv.Itoa(os.Getpid()),
		"LISTEN_FDNAMES="+strings.Join(names, ":"))
}

// dropPrivileges changes the calling thread only: exec ends the others.
func dropPrivileges(spec wire.Service) error {
	if spec.UID == 0 && spec.GID == 0 && len(spec.Groups) == 0 && len(spec.AmbientCaps) == 0 {
		return nil
	}
	if len(spec.AmbientCaps) > 0 {
		if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("keep capabilities: %w", err)
		}
	}
	if err := setIDs(spec); err != nil {
		return err
	}
	return raiseAmbient(spec.AmbientCaps)
}

func raiseAmbient(caps []int) error {
	if len(caps) == 0 {
		return nil
	}
	var data [2]unix.CapUserData
	for _, c := range caps {
		if c < 0 || c > 63 {
			return errors.New("capability number out of range")
		}
		bit := uint32(1) << (c % 32)
		data[c/32].Permitted |= bit
		data[c/32].Effective |= bit
		data[c/32].Inheritable |= bit
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capset(&head, &data[0]); err != nil {
		return fmt.Errorf("set capabilities: %w", err)
	}
	for _, c := range caps {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c), 0, 0); err != nil {
			return fmt.Errorf("raise ambient capability %d: %w", c, err)
		}
	}
	return nil
}
