package launch

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/nspace"
)

// start starts a process of a container, and leaves nothing of one that fails.
// The library forks a helper, whose children become this process's own
// (clone(2): CLONE_PARENT). When a container is killed while one of them is on
// its way into it, the library forgets what it has not been told of; but until
// that is reaped, the container's first process cannot end
// (pid_namespaces(7)). On a thread of its own it is known whose children they are.
func start(c *libcontainer.Container, p *libcontainer.Process) error {
	return nspace.OnThread(func() error {
		err := c.Start(p)
		if err != nil {
			err = errors.Join(err, reap())
		}
		return err
	})
}

// reap kills the children of the calling thread and waits until they are gone.
func reap() error {
	// A kernel without this file has them end by themselves: nobody speaks with them any more.
	list, _ := os.ReadFile("/proc/thread-self/children")
	for _, field := range strings.Fields(string(list)) {
		if pid, err := strconv.Atoi(field); err == nil {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	for {
		_, err := unix.Wait4(-1, nil, unix.WALL|unix.WNOTHREAD, nil)
		switch {
		case errors.Is(err, unix.ECHILD):
			return nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("reap what a failed start left: %w", err)
		}
	}
}
