package oci

import (
	"encoding/json"
	"fmt"
	"os"
	"syscall"

	"github.com/opencontainers/runc/libcontainer/utils"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/launch"
	"github.com/knarr-io/knarr/runtime/proc"
)

// Exec starts another process in a running container. What is returned is the
// program, a child of this process, which ends as the process ends.
func (r *Runtime) Exec(id string, p *specs.Process, stdio launch.Stdio) (proc.ID, error) {
	if !r.installed() {
		return proc.ID{}, fault.New(fault.Precondition, "runtime handler %q: program %q is not there", r.name, r.config.Path)
	}
	described, err := inMemory("process", p)
	if err != nil {
		return proc.ID{}, err
	}
	defer described.Close()
	files := []*os.File{stdio.Stdin, stdio.Stdout, stdio.Stderr}
	session := &syscall.SysProcAttr{Setsid: true}
	if stdio.Console != nil {
		master, slave, err := openTerminal()
		if err != nil {
			return proc.ID{}, err
		}
		defer master.Close()
		defer slave.Close()
		if err := utils.SendFile(stdio.Console, master); err != nil {
			return proc.ID{}, fmt.Errorf("pass the terminal on: %w", err)
		}
		files, session.Setctty = []*os.File{slave, slave, slave}, true
	}
	argv := append([]string{r.config.Path}, r.argv("exec", "--process", fmt.Sprintf("/proc/self/fd/%d", len(files)), id)...)
	child, err := os.StartProcess(r.config.Path, argv, &os.ProcAttr{Env: os.Environ(), Files: append(files, described), Sys: session})
	if err != nil {
		return proc.ID{}, fmt.Errorf("start %s: %w", r.config.Path, err)
	}
	pid := child.Pid
	// Whoever waits for the process does so by its pidfd.
	if err := child.Release(); err != nil {
		return proc.ID{}, err
	}
	return proc.Identify(pid)
}

// inMemory is a file in memory that holds v as JSON.
func inMemory(name string, v any) (*os.File, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.WriteAt(data, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// openTerminal makes a pseudo-terminal.
func openTerminal() (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("terminal: %w", err)
	}
	master = os.NewFile(uintptr(fd), "terminal")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		master.Close()
		return nil, nil, fmt.Errorf("terminal: %w", err)
	}
	// By the master, whatever is mounted at /dev/pts; it must not become this process's own terminal.
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		master.Close()
		return nil, nil, fmt.Errorf("terminal: %w", errno)
	}
	return master, os.NewFile(peer, "terminal"), nil
}
