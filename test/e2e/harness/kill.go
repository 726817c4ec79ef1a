package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// The processes of a cluster, by words of their command lines.
const (
	Keep    = "knarr-keep --socket"
	Runtime = "knarr-runtime serve"
	Server  = " server --data-dir"
	Edge    = " edge --kubeconfig"
)

// PID finds a process of the cluster; zero where it does not run.
func (c *Cluster) PID(t testing.TB, words string) int {
	t.Helper()
	lines, err := c.processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if !strings.Contains(line, words) || !strings.Contains(line, c.Dir+"/") {
			continue
		}
		pid, err := strconv.Atoi(strings.Fields(line)[1])
		if err != nil {
			t.Fatalf("read %q: %v", line, err)
		}
		return pid
	}
	return 0
}

// Kill ends a process of the cluster at once and returns its id.
func (c *Cluster) Kill(t testing.TB, words string) int {
	t.Helper()
	pid := c.TryKill(t, words)
	if pid == 0 {
		t.Fatalf("no process with %q runs", words)
	}
	return pid
}

// TryKill is Kill, but that the process need not be there; then it returns
// zero.
func (c *Cluster) TryKill(t testing.TB, words string) int {
	t.Helper()
	pid := c.PID(t, words)
	if pid == 0 {
		return 0
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); errors.Is(err, syscall.ESRCH) {
		return 0
	} else if err != nil {
		t.Fatalf("kill %d (%s): %v", pid, words, err)
	}
	return pid
}

// Suspend stops a process of the cluster from doing anything until resume is
// called, at the latest by the end of the test.
func (c *Cluster) Suspend(t testing.TB, words string) (resume func()) {
	t.Helper()
	pid := c.PID(t, words)
	if pid == 0 {
		t.Fatalf("no process with %q runs", words)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatalf("stop %d (%s): %v", pid, words, err)
	}
	resume = sync.OnceFunc(func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Errorf("let %d (%s) go on: %v", pid, words, err)
		}
	})
	t.Cleanup(resume)
	return resume
}

// KillEverything ends every process of the cluster at once, containers too, as
// a power cut does.
func (c *Cluster) KillEverything(t testing.TB) {
	t.Helper()
	// Who would start something again goes first, so that nothing comes back
	// meanwhile.
	c.Kill(t, Keep)
	c.TryKill(t, Server)
	Await(t, Patience, "end of every process", func(context.Context) error {
		left, err := c.processes()
		if err != nil || len(left) == 0 {
			return err
		}
		for _, line := range left {
			pid, err := strconv.Atoi(strings.Fields(line)[1])
			if err != nil {
				return err
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill %d: %w", pid, err)
			}
		}
		return fmt.Errorf("%d are left: %v", len(left), left)
	})
}

// Answers waits until the API is ready again.
func (c *Cluster) Answers(t testing.TB) {
	t.Helper()
	api, err := c.API()
	if err != nil {
		t.Fatal(err)
	}
	Await(t, Patience, "answer of the API", func(ctx context.Context) error {
		_, err := api.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err
	})
}

// ServiceLog is the end of what a service of the cluster has logged.
func (c *Cluster) ServiceLog(name string) string {
	const most = 8 << 10
	data, err := os.ReadFile(filepath.Join(c.DataDir(), "log", name+".log"))
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-most):])
}

// Has tells whether a process of the cluster, containers included, has the
// words on its command line.
func (c *Cluster) Has(t testing.TB, words string) bool {
	t.Helper()
	lines, err := c.processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if strings.Contains(line, words) {
			return true
		}
	}
	return false
}
