package test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	firstID  = 100000
	lengthID = 65536
)

func mapping(host, length uint32) []*cri.IDMapping {
	return []*cri.IDMapping{{HostId: host, Length: length}}
}

// ownUsers gives a pod users of its own.
func ownUsers(pid cri.NamespaceMode) func(*cri.PodSandboxConfig) {
	return func(c *cri.PodSandboxConfig) {
		c.Linux.SecurityContext.NamespaceOptions = &cri.NamespaceOption{Pid: pid, UsernsOptions: &cri.UserNamespace{
			Mode: cri.NamespaceMode_POD, Uids: mapping(firstID, lengthID), Gids: mapping(firstID, lengthID)}}
		c.Linux.Sysctls = map[string]string{"kernel.shm_rmid_forced": "1", "net.ipv4.ip_unprivileged_port_start": "80"}
	}
}

func TestPodWithUsersOfItsOwn(t *testing.T) {
	for name, handlers := range map[string][]func(*node){"built in": nil, "another maker's": {withHandler}} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, handlers...)
			n.load()
			n.ownUsers(t)
		})
	}
}

func (n *node) ownUsers(t *testing.T) {
	volume := filepath.Join(n.dir, "volume")
	if err := os.Mkdir(volume, 0o755); err != nil {
		t.Fatal(err)
	}
	p := n.runPod("users", ownUsers(cri.NamespaceMode_CONTAINER))
	id := p.run("main", []string{"wait"}, func(c *cri.ContainerConfig) {
		c.Mounts = []*cri.Mount{
			{HostPath: volume, ContainerPath: "/volume", UidMappings: mapping(firstID, lengthID), GidMappings: mapping(firstID, lengthID)},
			{Image: &cri.ImageSpec{Image: imageName}, ContainerPath: "/image"}}
	})
	for _, tc := range []struct {
		cmd  []string
		want string
		code int
	}{
		{[]string{"cat", "/proc/self/uid_map"}, "100000      65536", 0},
		{[]string{"cat", "/proc/sys/kernel/shm_rmid_forced"}, "1", 0},
		{[]string{"cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"}, "80", 0},
		{[]string{"cat", "/etc/passwd", "/image/etc/passwd"}, "app:x:1000", 0},
		{[]string{"write", "/made", "x"}, "", 0},
		{[]string{"write", "/etc/passwd", "root:x:0:0::/:"}, "", 0},
		{[]string{"write", "/volume/made", "x"}, "", 0},
		{[]string{"write", "/dev/shm/made", "x"}, "", 0},
		{[]string{"write", "/etc/hosts", "x"}, "", 0},
		{[]string{"write", "/dev/stdout", "to the log"}, "to the log", 0},
		{[]string{"write", "/image/made", "x"}, "read-only", 1},
		{[]string{"write", "/proc/sys/kernel/core_pattern", "x"}, "", 1},
	} {
		if out, code := n.exec(id, tc.cmd...); code != tc.code || !strings.Contains(out, tc.want) {
			t.Errorf("%v: %d %q, want %d %q", tc.cmd, code, out, tc.code, tc.want)
		}
	}
	// Root of the pod is root of its volume, and nobody on the node.
	if got := owner(t, filepath.Join(volume, "made")); got != 0 {
		t.Errorf("a file of the volume belongs to %d", got)
	}
	if got := owner(t, filepath.Join(n.root, "containers", id, "upper", "made")); got != firstID {
		t.Errorf("a file that the container made belongs to %d", got)
	}
	n.killRuntime()
	n.answers()
	if out, code := n.exec(id, "cat", "/made"); code != 0 || out != "x" {
		t.Errorf("after a restart of the runtime: %d %q", code, out)
	}
	n.must(n.runtime.RemovePodSandbox(n.ctx(), &cri.RemovePodSandboxRequest{PodSandboxId: p.id}))
}

func owner(t *testing.T, path string) uint32 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Uid
}

func TestUsersOfItsOwnShareProcesses(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("shared", ownUsers(cri.NamespaceMode_POD))
	a, b := p.run("a", []string{"wait"}, nil), p.run("b", []string{"wait"}, nil)
	for _, id := range []string{a, b} {
		if out, code := n.exec(id, "cat", "/proc/1/cmdline"); code != 0 || !strings.HasPrefix(out, "knarr-pause") {
			t.Errorf("process 1: %d %q", code, out)
		}
		if out, code := n.exec(id, "cat", "/proc/1/root/etc/passwd"); code == 0 {
			t.Errorf("the host's files are open to a pod: %q", out)
		}
	}
}

func TestUserNamespacesThatCannotBe(t *testing.T) {
	n := newNode(t)
	two := append(mapping(1000, 10), mapping(2000, 10)...)
	for name, o := range map[string]*cri.UserNamespace{
		"mode container":        {Mode: cri.NamespaceMode_CONTAINER},
		"mode target":           {Mode: cri.NamespaceMode_TARGET},
		"no mapping":            {Mode: cri.NamespaceMode_POD},
		"two mappings":          {Mode: cri.NamespaceMode_POD, Uids: two, Gids: two},
		"zero is not mapped":    {Mode: cri.NamespaceMode_POD, Uids: []*cri.IDMapping{{ContainerId: 1, HostId: 1000, Length: 10}}, Gids: mapping(1000, 10)},
		"the node's root":       {Mode: cri.NamespaceMode_POD, Uids: mapping(0, 10), Gids: mapping(1000, 10)},
		"nothing is mapped":     {Mode: cri.NamespaceMode_POD, Uids: mapping(1000, 0), Gids: mapping(1000, 0)},
		"beyond the last user":  {Mode: cri.NamespaceMode_POD, Uids: mapping(1<<32-2, 10), Gids: mapping(1000, 10)},
		"node's, but a mapping": {Mode: cri.NamespaceMode_NODE, Uids: mapping(1000, 10), Gids: mapping(1000, 10)},
	} {
		_, err := n.runtime.RunPodSandbox(n.ctx(), &cri.RunPodSandboxRequest{Config: &cri.PodSandboxConfig{
			Metadata: &cri.PodSandboxMetadata{Name: "x"}, Linux: &cri.LinuxPodSandboxConfig{SecurityContext: &cri.LinuxSandboxSecurityContext{
				NamespaceOptions: &cri.NamespaceOption{UsernsOptions: o}}}}})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}
