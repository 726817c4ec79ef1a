package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"golang.org/x/sys/unix"
)

func TestPrivilegedAndDevices(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("priv", nil)
	id := p.run("all", []string{"wait"}, func(c *cri.ContainerConfig) { c.Linux.SecurityContext.Privileged = true })
	if _, code := n.exec(id, "write", "/dev/kmsg", ""); code != 0 {
		t.Error("a privileged container cannot open a device of the node")
	}
	if out, code := n.exec(id, "try", "mount"); code != 0 {
		t.Errorf("a privileged container cannot mount: %s", out)
	}
	// The binary that starts containers must not be writable from inside one.
	if out, code := n.exec(id, "write", "/proc/self/exe", "x"); code == 0 {
		t.Errorf("overwrote a running program: %s", out)
	}
	one := p.run("one", []string{"wait"}, func(c *cri.ContainerConfig) {
		c.Devices = []*cri.Device{{HostPath: "/dev/kmsg", ContainerPath: "/dev/log-of-the-node", Permissions: "rw"}}
	})
	if out, code := n.exec(one, "write", "/dev/log-of-the-node", ""); code != 0 {
		t.Errorf("a device that was asked for: %s", out)
	}
	if out, code := n.exec(one, "try", "mount"); code == 0 || !strings.Contains(out, "not permitted") {
		t.Errorf("mounting: %d %s", code, out)
	}
	if _, code := n.exec(one, "cat", "/dev/mem"); code == 0 {
		t.Error("a device that nobody asked for can be read")
	}
}

func TestMountPropagation(t *testing.T) {
	n := newNode(t)
	n.load()
	shared := n.path("shared")
	if err := os.Mkdir(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(shared, shared, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(shared, unix.MNT_DETACH)
	if err := unix.Mount("", shared, "", unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	p := n.runPod("propagate", nil)
	config := func(c *cri.ContainerConfig) {
		c.Mounts = []*cri.Mount{{HostPath: shared, ContainerPath: "/shared", Propagation: cri.MountPropagation_PROPAGATION_HOST_TO_CONTAINER}}
	}
	req := &cri.CreateContainerRequest{PodSandboxId: p.id, SandboxConfig: p.config, Config: &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: "refused"}, Image: &cri.ImageSpec{Image: imageName}}}
	config(req.Config)
	if _, err := n.runtime.CreateContainer(n.ctx(), req); status.Code(err) != codes.InvalidArgument {
		t.Errorf("propagation from a private mount: %v", err)
	}
	if err := unix.Mount("", shared, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	id := p.run("main", []string{"wait"}, config)
	below := filepath.Join(shared, "later")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("x", below, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(below, unix.MNT_DETACH)
	if err := os.WriteFile(filepath.Join(below, "f"), []byte("came later"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, code := n.exec(id, "cat", "/shared/later/f"); code != 0 || out != "came later" {
		t.Errorf("a mount that came later: %d %q", code, out)
	}
}

// Below a read-only mount another one may be writable, unless it is read-only
// recursively.
func TestRecursiveReadOnly(t *testing.T) {
	n := newNode(t)
	n.load()
	dir := t.TempDir()
	below := filepath.Join(dir, "below")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("x", below, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(below, unix.MNT_DETACH)
	p := n.runPod("rro", nil)
	id := p.run("main", []string{"wait"}, func(c *cri.ContainerConfig) {
		c.Mounts = []*cri.Mount{{HostPath: dir, ContainerPath: "/ro", Readonly: true}, {HostPath: dir, ContainerPath: "/rro", Readonly: true, RecursiveReadOnly: true}}
	})
	for path, want := range map[string]int{"/ro/x": 1, "/ro/below/x": 0, "/rro/x": 1, "/rro/below/x": 1} {
		if out, code := n.exec(id, "write", path, "y"); code != want || want == 1 && !strings.Contains(out, "read-only") {
			t.Errorf("%s: %d %q, want %d", path, code, out, want)
		}
	}
	writable := &cri.ContainerConfig{Metadata: &cri.ContainerMetadata{Name: "refused"}, Image: &cri.ImageSpec{Image: imageName},
		Mounts: []*cri.Mount{{HostPath: dir, ContainerPath: "/rro", RecursiveReadOnly: true}}}
	_, err := n.runtime.CreateContainer(n.ctx(), &cri.CreateContainerRequest{PodSandboxId: p.id, SandboxConfig: p.config, Config: writable})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a writable mount that is recursively read-only: %v", err)
	}
}

func TestReopenLog(t *testing.T) {
	n := newNode(t)
	n.load()
	id := n.runPod("reopen", nil).run("main", []string{"echo"}, func(c *cri.ContainerConfig) { c.Stdin = true })
	path := n.status(id).GetLogPath()
	n.eventually("the log exists", func() bool { _, err := os.Stat(path); return err == nil })
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	n.must(n.runtime.ReopenContainerLog(n.ctx(), &cri.ReopenContainerLogRequest{ContainerId: id}))
	n.must(n.runtime.StopContainer(n.ctx(), &cri.StopContainerRequest{ContainerId: id, Timeout: 0}))
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	_, err := n.runtime.ReopenContainerLog(n.ctx(), &cri.ReopenContainerLogRequest{ContainerId: id})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("of an ended container: %v", err)
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("bad", nil)
	create := func(c *cri.ContainerConfig) error {
		_, err := n.runtime.CreateContainer(n.ctx(), &cri.CreateContainerRequest{PodSandboxId: p.id, Config: c})
		return err
	}
	meta, image := &cri.ContainerMetadata{Name: "x"}, &cri.ImageSpec{Image: imageName}
	for name, tc := range map[string]struct {
		err  error
		code codes.Code
	}{
		"nothing":         {create(nil), codes.InvalidArgument},
		"no image":        {create(&cri.ContainerConfig{Metadata: meta, Image: &cri.ImageSpec{Image: "none:1"}}), codes.NotFound},
		"unknown user":    {create(&cri.ContainerConfig{Metadata: meta, Image: image, Linux: &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{RunAsUsername: "ghost"}}}), codes.InvalidArgument},
		"a mount nowhere": {create(&cri.ContainerConfig{Metadata: meta, Image: image, Mounts: []*cri.Mount{{HostPath: "/tmp"}}}), codes.InvalidArgument},
		"CDI":             {create(&cri.ContainerConfig{Metadata: meta, Image: image, CDIDevices: []*cri.CDIDevice{{Name: "x"}}}), codes.FailedPrecondition},
	} {
		if status.Code(tc.err) != tc.code {
			t.Errorf("%s: %v", name, tc.err)
		}
	}
	if _, err := n.runtime.StartContainer(n.ctx(), &cri.StartContainerRequest{ContainerId: "none"}); status.Code(err) != codes.NotFound {
		t.Errorf("start of nothing: %v", err)
	}
	if _, err := n.runtime.RunPodSandbox(n.ctx(), &cri.RunPodSandboxRequest{Config: p.config, RuntimeHandler: "kata"}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("an unknown handler: %v", err)
	}
	for _, cidr := range []string{"nonsense", "10.0.0.0/31"} {
		_, err := n.runtime.UpdateRuntimeConfig(n.ctx(), &cri.UpdateRuntimeConfigRequest{RuntimeConfig: &cri.RuntimeConfig{NetworkConfig: &cri.NetworkConfig{PodCidr: cidr}}})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", cidr, err)
		}
	}
	list, err := n.runtime.ListContainers(n.ctx(), &cri.ListContainersRequest{})
	if err != nil || len(list.GetContainers()) != 0 {
		t.Errorf("refused containers are listed: %v, %v", list, err)
	}
}
