package supervisor

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keep/wire"
)

// child is what fork needs; status tells whether exec succeeded.
type child struct {
	attr   syscall.ProcAttr
	files  []*os.File
	status *os.File
}

// prepare opens what the child inherits.
func prepare(spec wire.Service, sockets []int) (*child, error) {
	c := &child{}
	ok := false
	defer func() {
		if !ok {
			c.close()
		}
	}()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	c.files = append(c.files, null)
	out, err := openLog(spec.Log)
	if err != nil {
		return nil, err
	}
	c.files = append(c.files, out)
	mem, err := specFile(spec)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.status = r
	c.files = append(c.files, mem, w)
	fds := []uintptr{null.Fd(), out.Fd(), out.Fd(), mem.Fd(), w.Fd()}
	for _, fd := range sockets {
		fds = append(fds, uintptr(fd))
	}
	c.attr = syscall.ProcAttr{Files: fds, Env: []string{}, Sys: &syscall.SysProcAttr{Setsid: true}}
	ok = true
	return c, nil
}

// fork starts the child and returns its pid.
func (c *child) fork() (int, error) {
	return syscall.ForkExec("/proc/self/exe", []string{"knarr-keep", ExecArg}, &c.attr)
}

// result waits until the child has become the service; the error says why not.
func (c *child) result() error {
	for _, f := range c.files {
		f.Close()
	}
	c.files = nil
	defer c.close()
	reason, err := io.ReadAll(io.LimitReader(c.status, 4096))
	if err != nil {
		return err
	}
	if len(reason) > 0 {
		return &wire.Error{Code: wire.CodeInvalid, Message: string(reason)}
	}
	return nil
}

func (c *child) close() {
	for _, f := range c.files {
		f.Close()
	}
	if c.status != nil {
		c.status.Close()
	}
}

func openLog(path string) (*os.File, error) {
	if path == "" {
		path = os.DevNull
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("service log: %w", err)
	}
	return f, nil
}

// specFile returns the spec in memory, at its start.
func specFile(spec wire.Service) (*os.File, error) {
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("knarr-service", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), "spec")
	if _, err := f.WriteAt(data, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
