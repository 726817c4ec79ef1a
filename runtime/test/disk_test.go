package test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A disk that is full to its last byte keeps no pod, which may be the one that
// filled it: the pod ends and goes, and how it ended is known though the runtime
// is killed.
func TestAFullDiskKeepsNoPod(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("disk", disk, "tmpfs", 0, "size=64m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	n := newNode(t, func(n *node) { n.root = filepath.Join(disk, "root") })
	n.load()
	p := n.runPod("full", func(c *cri.PodSandboxConfig) {
		c.Linux.SecurityContext.NamespaceOptions = &cri.NamespaceOption{Pid: cri.NamespaceMode_POD}
	})
	id, killed := p.run("main", []string{"wait"}, nil), p.run("killed", []string{"wait"}, nil)
	fill(t, filepath.Join(disk, "ballast"))
	n.must(n.runtime.StopContainer(n.ctx(), &cri.StopContainerRequest{ContainerId: id, Timeout: 30}))
	n.must(n.runtime.StopContainer(n.ctx(), &cri.StopContainerRequest{ContainerId: killed}))
	for range 2 {
		if st := n.status(id); st.GetExitCode() != 0 || st.GetReason() != "Completed" {
			t.Errorf("the one that was asked to end: %v", st)
		}
		if st := n.status(killed); st.GetExitCode() != 137 {
			t.Errorf("the one that was killed: %v", st)
		}
		n.must(n.runtime.StopPodSandbox(n.ctx(), &cri.StopPodSandboxRequest{PodSandboxId: p.id}))
		n.killRuntime()
		n.answers()
	}
	n.must(n.runtime.RemovePodSandbox(n.ctx(), &cri.RemovePodSandboxRequest{PodSandboxId: p.id}))
}

// fill writes to a file until its disk is full.
func fill(t *testing.T, file string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
}
