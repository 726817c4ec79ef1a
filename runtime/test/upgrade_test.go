package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/keep/wire"
)

// The programs of another release take over from those that run: containers go
// on, no line of their logs is lost or told twice, commands run in them as
// before, and how they end is known.
func TestUpgradeToAnotherRelease(t *testing.T) {
	next := t.TempDir()
	if out, err := exec.Command("make", "-C", "..", "OUT="+next, "VERSION=next").CombinedOutput(); err != nil {
		t.Fatalf("make: %v\n%s", err, out)
	}
	n := newNode(t)
	n.load()
	p := n.runPod("upgrade", nil)
	prints := p.run("prints", []string{"print", strconv.Itoa(manyLines), "5"}, nil)
	echoes := p.run("echoes", []string{"echo"}, func(c *cri.ContainerConfig) { c.Stdin = true })
	pid := n.containerPID(p, echoes)
	runtime := n.runtimeProcess()

	// The keeper first, in place; then the runtime, which it starts anew.
	_, _, _ = n.keep.Do(wire.Request{Op: wire.OpReexec, Path: filepath.Join(next, "knarr-keep")}, nil)
	n.eventually("the keeper answers", func() bool { _, err := n.keep.List(); return err == nil })
	exe, err := os.Readlink("/proc/" + strconv.Itoa(n.keepCmd.Process.Pid) + "/exe")
	if err != nil || exe != filepath.Join(next, "knarr-keep") {
		t.Errorf("the keeper's process runs %s, %v", exe, err)
	}
	n.bin = next
	n.startRuntime()
	n.eventually("the old runtime is gone", func() bool { return !runtime.Alive() })
	version, err := n.runtime.Version(n.ctx(), &cri.VersionRequest{})
	if err != nil || version.GetRuntimeVersion() != "next" {
		t.Fatalf("the runtime is %v, %v", version, err)
	}
	if !pid.Alive() || n.status(echoes).GetState() != cri.ContainerState_CONTAINER_RUNNING {
		t.Fatal("the container did not go on")
	}
	out, err := n.runtime.ExecSync(n.ctx(), &cri.ExecSyncRequest{ContainerId: echoes, Cmd: []string{"/workload", "print", "1", "0"}})
	if err != nil || !strings.Contains(string(out.GetStdout()), "line 0") {
		t.Errorf("a command in it: %v, %v", out, err)
	}
	if st := n.ended(prints); st.GetExitCode() != 5 {
		t.Errorf("the end: %v", st)
	}
	compareLines(t, n.log(prints, "stdout"))
}
