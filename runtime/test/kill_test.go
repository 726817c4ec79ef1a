package test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/atomicfile"
	"github.com/knarr-io/knarr/runtime/container"
	"github.com/knarr-io/knarr/runtime/keep/wire"
	"github.com/knarr-io/knarr/runtime/proc"
)

const manyLines = 100000

// killRuntime kills the runtime and returns at once; keep starts it again.
func (n *node) killRuntime() {
	n.t.Helper()
	id := n.runtimeProcess()
	if err := id.Signal(unix.SIGKILL); err != nil {
		n.t.Fatal(err)
	}
	n.eventually("the runtime is gone", func() bool { return !id.Alive() })
}

// suspendRestart kills the runtime, and keeps it from being started again until
// resume is called or the test ends.
func (n *node) suspendRestart() (resume func()) {
	n.t.Helper()
	id := n.runtimeProcess()
	keep, err := proc.Identify(n.keepCmd.Process.Pid)
	if err != nil {
		n.t.Fatal(err)
	}
	n.must(nil, keep.Signal(unix.SIGSTOP))
	// A keep that waits would keep a test that has failed from its end.
	n.t.Cleanup(func() { _ = keep.Signal(unix.SIGCONT) })
	runtime, err := id.Watch()
	if err != nil {
		n.t.Fatal(err)
	}
	defer runtime.Close()
	// Until it is dead it would see what comes.
	if err := errors.Join(runtime.Signal(unix.SIGKILL), runtime.Wait(n.ctx())); err != nil {
		n.t.Fatal(err)
	}
	return func() { n.must(nil, keep.Signal(unix.SIGCONT)) }
}

func TestKilledRuntimeLosesNoLineAndNoExitCode(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("kill", nil)
	for _, tty := range []bool{false, true} {
		id := p.run("print-"+strconv.FormatBool(tty), []string{"print", strconv.Itoa(manyLines), "42"}, func(c *cri.ContainerConfig) { c.Tty = tty })
		for range 5 {
			n.killRuntime()
			n.answers()
		}
		if st := n.ended(id); st.GetExitCode() != 42 || st.GetReason() != "Error" {
			t.Fatalf("tty %v: %v", tty, st)
		}
		got := strings.ReplaceAll(n.log(id, "stdout"), "\r\n", "\n")
		compareLines(t, got)
	}
}

func compareLines(t *testing.T, got string) {
	t.Helper()
	if got == numbered(manyLines) {
		return
	}
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	for i, l := range lines {
		if want := "line " + strconv.Itoa(i); l != want {
			t.Fatalf("%d lines; number %d is %q, want %q", len(lines), i, l, want)
		}
	}
	t.Fatalf("%d lines, want %d", len(lines), manyLines)
}

func TestContainerEndsWhileTheRuntimeIsDead(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("dead", nil)
	id := p.run("main", []string{"print", strconv.Itoa(manyLines), "42"}, nil)
	resume := n.suspendRestart()
	// The pipe fills and the container waits, for nobody reads.
	resume()
	n.answers()
	if st := n.ended(id); st.GetExitCode() != 42 {
		t.Fatalf("status: %v", st)
	}
	compareLines(t, n.log(id, "stdout"))

	quick := p.run("quick", []string{"echo"}, func(c *cri.ContainerConfig) { c.Stdin = true })
	pid := n.containerPID(p, quick)
	resume = n.suspendRestart()
	if err := pid.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	resume()
	n.answers()
	if st := n.ended(quick); st.GetExitCode() != 137 || st.GetReason() != "Error" {
		t.Fatalf("killed while the runtime was dead: %v", st)
	}
}

// A kill between writing an end down and telling it loses nothing of the output
// that is not in the log yet.
func TestKilledBetweenAnEndAndItsLog(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("last", nil)
	id := p.run("main", []string{"echo"}, func(c *cri.ContainerConfig) { c.Stdin = true })
	pid := n.containerPID(p, id)
	resume := n.suspendRestart()
	out, err := os.OpenFile("/proc/"+strconv.Itoa(pid.PID)+"/fd/1", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.WriteString("last words\n"); err != nil {
		t.Fatal(err)
	}
	out.Close()
	n.must(nil, pid.Signal(unix.SIGKILL))
	n.writeEnd(id)
	resume()
	n.answers()
	if st := n.ended(id); st.GetExitCode() != 7 || n.log(id, "stdout") != "last words\n" {
		t.Errorf("status %v, log %q", st, n.log(id, "stdout"))
	}
}

// writeEnd writes down that a container has ended, as a runtime does first.
func (n *node) writeEnd(id string) {
	n.t.Helper()
	found, err := filepath.Glob(filepath.Join(n.root, "*", id, "status.json"))
	if err != nil || len(found) != 1 {
		n.t.Fatalf("the container's status: %v, %v", found, err)
	}
	var status container.Status
	n.must(nil, atomicfile.ReadJSON(found[0], &status))
	status.State, status.ExitCode = cri.ContainerState_CONTAINER_EXITED, 7
	n.must(nil, atomicfile.WriteJSON(found[0], status, false))
}

// containerPID is the first process of a container.
func (n *node) containerPID(p *pod, id string) proc.ID {
	n.t.Helper()
	data, err := os.ReadFile("/sys/fs/cgroup/memory" + n.cgroup + "/" + p.id + "/" + id + "/cgroup.procs")
	if err != nil {
		n.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.Fields(string(data))[0])
	if err != nil {
		n.t.Fatal(err)
	}
	out, err := proc.Identify(pid)
	if err != nil {
		n.t.Fatal(err)
	}
	return out
}

func TestRunningContainersSurviveTheRuntime(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("survive", nil)
	id := p.run("main", []string{"wait"}, nil)
	created := p.create("later", []string{"exit", "3"}, nil)
	ip, pid := p.ip(), n.containerPID(p, id)
	n.killRuntime()
	n.answers()
	if !pid.Alive() || p.ip() != ip {
		t.Fatalf("the pod changed: alive %v, address %s, was %s", pid.Alive(), p.ip(), ip)
	}
	if out, code := n.exec(id, "print", "1", "0"); out != "line 0\n" || code != 0 {
		t.Errorf("exec after a restart: %q %d", out, code)
	}
	n.must(n.runtime.StartContainer(n.ctx(), &cri.StartContainerRequest{ContainerId: created}))
	if st := n.ended(created); st.GetExitCode() != 3 {
		t.Errorf("started after a restart: %v", st)
	}
	if other := n.runPod("other", nil); other.ip() == ip {
		t.Error("an address was given out twice")
	}
	n.must(n.runtime.StopContainer(n.ctx(), &cri.StopContainerRequest{ContainerId: id, Timeout: 30}))
	if st := n.status(id); st.GetExitCode() != 0 || n.log(id, "stdout") != "waiting\n" {
		t.Errorf("stopped after a restart: %v %q", st, n.log(id, "stdout"))
	}
}

func TestKilledKeepAndRuntime(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("cut", nil)
	id := p.run("main", []string{"wait"}, nil)
	pid := n.containerPID(p, id)
	gone := p.run("gone", []string{"wait"}, nil)
	gonePID := n.containerPID(p, gone)
	rt := n.runtimeProcess()
	// A process in the namespace keeps it while keep is away.
	n.keepCmd.Process.Kill()
	n.keepCmd.Process.Wait()
	if err := rt.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := gonePID.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	n.keep.Close()
	n.startKeep()
	n.startRuntime()
	if !pid.Alive() {
		t.Fatal("a container died with its keepers")
	}
	if st := n.status(id); st.GetState() != cri.ContainerState_CONTAINER_RUNNING {
		t.Errorf("the living one: %v", st)
	}
	if st := n.ended(gone); st.GetExitCode() != 255 || st.GetReason() != "Unknown" {
		t.Errorf("the dead one: %v", st)
	}
	n.must(n.runtime.RemovePodSandbox(n.ctx(), &cri.RemovePodSandboxRequest{PodSandboxId: p.id}))
	if pid.Alive() {
		t.Error("removal left a process")
	}
}

func TestReboot(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("boot", nil)
	id := p.run("main", []string{"wait"}, nil)
	pid := n.containerPID(p, id)
	n.must(nil, n.keep.Stop("runtime", 0))
	if err := pid.Terminate(unix.SIGKILL, 0); err != nil {
		t.Fatal(err)
	}
	// After a boot the state folder says another boot, and holds nothing that lives.
	if err := os.WriteFile(n.path("state/boot"), []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.startRuntime()
	resp, err := n.runtime.PodSandboxStatus(n.ctx(), &cri.PodSandboxStatusRequest{PodSandboxId: p.id})
	if err != nil || resp.GetStatus().GetState() != cri.PodSandboxState_SANDBOX_NOTREADY {
		t.Fatalf("sandbox: %v, %v", resp, err)
	}
	if st := n.ended(id); st.GetReason() != "Unknown" && st.GetExitCode() != 137 {
		t.Errorf("container: %v", st)
	}
	n.must(n.runtime.RemovePodSandbox(n.ctx(), &cri.RemovePodSandboxRequest{PodSandboxId: p.id}))
	n.ended(n.runPod("again", nil).run("main", []string{"exit", "0"}, nil))
}

// A keep that died is replaced while the runtime lives: the runtime has the new
// one hold its streams, and the next runtime finds them there.
func TestKeepIsReplacedUnderARunningRuntime(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("keep", nil)
	id := p.run("main", []string{"print", strconv.Itoa(manyLines), "0"}, nil)
	old := n.runtimeProcess()
	n.keepCmd.Process.Kill()
	n.keepCmd.Process.Wait()
	n.keep.Close()
	n.answers()
	n.startKeep()
	n.eventually("the new keep holds the streams", func() bool {
		holds, err := n.keep.Holds()
		return err == nil && len(holds) == 1 || n.status(id).GetState() == cri.ContainerState_CONTAINER_EXITED
	})
	n.startRuntime()
	if old.Alive() {
		t.Fatal("two runtimes run")
	}
	n.ended(id)
	compareLines(t, n.log(id, "stdout"))
}

func TestUpgradeOfKeep(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("upgrade", nil)
	id := p.run("main", []string{"echo"}, func(c *cri.ContainerConfig) { c.Stdin = true })
	pid := n.containerPID(p, id)
	_, _, _ = n.keep.Do(wire.Request{Op: wire.OpReexec, Path: n.bin + "/knarr-keep"}, nil)
	n.eventually("keep answers", func() bool { _, err := n.keep.List(); return err == nil })
	resume := n.suspendRestart()
	if err := pid.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	resume()
	n.answers()
	if st := n.ended(id); st.GetExitCode() != 137 || st.GetReason() != "Error" {
		t.Fatalf("ended after an upgrade of keep: %v", st)
	}
}

func TestPauseThatDies(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("pause", func(c *cri.PodSandboxConfig) {
		c.Linux.SecurityContext.NamespaceOptions = &cri.NamespaceOption{Pid: cri.NamespaceMode_POD}
	})
	id := p.run("main", []string{"wait"}, nil)
	st, err := proc.ReadStat(n.containerPID(p, id).PID)
	if err != nil {
		t.Fatal(err)
	}
	var pause proc.ID
	for _, kid := range proc.Descendants(proc.ID{PID: st.PPID}) {
		if data, _ := os.ReadFile("/proc/" + strconv.Itoa(kid.PID) + "/comm"); strings.HasPrefix(string(data), "knarr-pause") {
			pause = kid
		}
	}
	if err := pause.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	n.eventually("the sandbox is not ready", func() bool {
		resp, err := n.runtime.PodSandboxStatus(n.ctx(), &cri.PodSandboxStatusRequest{PodSandboxId: p.id})
		return err == nil && resp.GetStatus().GetState() == cri.PodSandboxState_SANDBOX_NOTREADY
	})
	n.ended(id)
}
