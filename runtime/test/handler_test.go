package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ociProgram is an OCI runtime of another maker: runc, built from its module
// once for all tests, or the program that KNARR_TEST_OCI names.
var ociProgram = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("KNARR_TEST_OCI"); path != "" {
		return path, nil
	}
	dir, err := binaries()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "runc")
	cmd := exec.Command("go", "build", "-trimpath", "-tags", "seccomp netgo osusergo runc_nocriu",
		"-ldflags", "-s -w -linkmode external -extldflags -static", "-o", path, "github.com/opencontainers/runc")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build runc: %w\n%s", err, out)
	}
	return path, nil
})

// other is the handler under test.
const other = "other"

// withHandler gives a node's pods a handler whose program is another maker's.
func withHandler(n *node) {
	n.t.Helper()
	program, err := ociProgram()
	if err != nil {
		n.t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"handlers": map[string]any{
		other: map[string]any{"path": program}, "gone": map[string]any{"path": "/no/such/program"}}})
	if err != nil {
		n.t.Fatal(err)
	}
	file := n.path("config.json")
	n.must(nil, os.WriteFile(file, body, 0o600))
	n.settings, n.handler = []string{"--config", file}, other
}

func TestHandlerOfAnotherMaker(t *testing.T) {
	n := newNode(t, withHandler)
	n.load()
	if got := n.handlerNames(); !strings.Contains(got, "knarr") || !strings.Contains(got, other) {
		t.Errorf("handlers: %s", got)
	}
	p := n.runPod("foreign", nil)
	st := n.ended(p.run("print", []string{"print", "2000", "42"}, nil))
	if st.GetExitCode() != 42 || st.GetReason() != "Error" || n.log(st.GetId(), "stdout") != numbered(2000) {
		t.Errorf("output and exit code: %v", st)
	}
	oom := n.ended(p.run("oom", []string{"hog", "100"}, func(c *cri.ContainerConfig) { c.Linux.Resources.MemoryLimitInBytes = 32 << 20 }))
	if oom.GetReason() != "OOMKilled" {
		t.Errorf("out of memory: %v", oom)
	}
	main := p.run("main", []string{"wait"}, nil)
	if out, code := n.exec(main, "print", "3", "9"); out != numbered(3) || code != 9 {
		t.Errorf("exec: %q %d", out, code)
	}
	_, err := n.runtime.ExecSync(n.ctx(), &cri.ExecSyncRequest{ContainerId: main, Cmd: []string{"/workload", "wait"}, Timeout: 1})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("exec that takes too long: %v", err)
	}
	n.updateWorks(p, main)
	n.must(n.runtime.StopContainer(n.ctx(), &cri.StopContainerRequest{ContainerId: main, Timeout: 30}))
	if st := n.status(main); st.GetExitCode() != 0 || st.GetReason() != "Completed" {
		t.Errorf("stopped: %v", st)
	}
	id := p.create("missing", nil, func(c *cri.ContainerConfig) { c.Command = []string{"/no/such/program"} })
	if _, err := n.runtime.StartContainer(n.ctx(), &cri.StartContainerRequest{ContainerId: id}); err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("a missing program: %v", err)
	}
}

func (n *node) handlerNames() string {
	n.t.Helper()
	resp, err := n.runtime.Status(n.ctx(), &cri.StatusRequest{})
	if err != nil {
		n.t.Fatal(err)
	}
	return fmt.Sprint(resp.GetRuntimeHandlers())
}

// updateWorks changes a limit and looks at the cgroup.
func (n *node) updateWorks(p *pod, id string) {
	n.t.Helper()
	n.must(n.runtime.UpdateContainerResources(n.ctx(), &cri.UpdateContainerResourcesRequest{ContainerId: id,
		Linux: &cri.LinuxContainerResources{MemoryLimitInBytes: 96 << 20}}))
	for _, file := range []string{"memory/%s/memory.limit_in_bytes", "%s/memory.max"} {
		path := filepath.Join("/sys/fs/cgroup", fmt.Sprintf(file, filepath.Join(n.cgroup, p.id, id)))
		if data, err := os.ReadFile(path); err == nil {
			if got := strings.TrimSpace(string(data)); got != fmt.Sprint(96<<20) {
				n.t.Errorf("limit: %s", got)
			}
			return
		}
	}
	n.t.Error("the container has no cgroup where it belongs")
}

func TestHandlersTerminals(t *testing.T) {
	n := newNode(t, withHandler)
	n.load()
	p := n.runPod("terminal", nil)
	id := p.run("main", []string{"echo"}, func(c *cri.ContainerConfig) { c.Stdin, c.Tty = true, true })
	resp, err := n.runtime.Attach(n.ctx(), &cri.AttachRequest{ContainerId: id, Stdin: true, Stdout: true, Tty: true})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	// The input ends with the key that ends a terminal's.
	in := strings.NewReader("hello\n\x04")
	if err := executor(t, n.relay(resp.GetUrl())).StreamWithContext(n.ctx(), remotecommand.StreamOptions{Stdin: in, Stdout: &out, Tty: true}); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, "HELLO\r\n") {
		t.Errorf("attached: %q", got)
	}
	main := p.run("other", []string{"wait"}, nil)
	ask, err := n.runtime.Exec(n.ctx(), &cri.ExecRequest{ContainerId: main, Cmd: []string{"/workload", "print", "2", "8"}, Stdout: true, Tty: true})
	if err != nil {
		t.Fatal(err)
	}
	out.Reset()
	err = executor(t, n.relay(ask.GetUrl())).StreamWithContext(n.ctx(), remotecommand.StreamOptions{Stdout: &out, Tty: true})
	var exit utilexec.CodeExitError
	if !errors.As(err, &exit) || exit.Code != 8 || out.String() != strings.ReplaceAll(numbered(2), "\n", "\r\n") {
		t.Errorf("exec with a terminal: %v %q", err, out.String())
	}
}

// A kill of the runtime loses no exit code of a handler's container, and what runs goes on.
func TestHandlersContainersOutliveTheRuntime(t *testing.T) {
	n := newNode(t, withHandler)
	n.load()
	p := n.runPod("outlive", nil)
	ends := p.run("ends", []string{"echo"}, func(c *cri.ContainerConfig) { c.Stdin = true })
	stays := p.run("stays", []string{"wait"}, nil)
	n.killRuntime()
	n.answers()
	if st := n.status(stays); st.GetState() != cri.ContainerState_CONTAINER_RUNNING {
		t.Errorf("a container that ran: %v", st)
	}
	if out, code := n.exec(stays, "print", "1", "0"); out != numbered(1) || code != 0 {
		t.Errorf("exec after a restart: %q %d", out, code)
	}
	n.must(n.runtime.StopContainer(n.ctx(), &cri.StopContainerRequest{ContainerId: ends, Timeout: 0}))
	if st := n.status(ends); st.GetExitCode() != 137 || st.GetReason() != "Error" {
		t.Errorf("a container that was killed: %v", st)
	}
	n.must(n.runtime.RemovePodSandbox(n.ctx(), &cri.RemovePodSandboxRequest{PodSandboxId: p.id}))
}

func TestHandlerThatIsGone(t *testing.T) {
	n := newNode(t, withHandler)
	n.load()
	n.handler = "gone"
	p := n.runPod("nowhere", nil)
	id := p.create("main", []string{"wait"}, nil)
	_, err := n.runtime.StartContainer(n.ctx(), &cri.StartContainerRequest{ContainerId: id})
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("start: %v", err)
	}
	n.must(n.runtime.RemovePodSandbox(n.ctx(), &cri.RemovePodSandboxRequest{PodSandboxId: p.id}))
}
