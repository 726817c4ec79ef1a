package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestRunLogsAndExitCode(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("web", nil)
	id := p.run("main", []string{"print", "5000", "42"}, nil)
	st := n.ended(id)
	if st.GetExitCode() != 42 || st.GetReason() != "Error" || st.GetFinishedAt() < st.GetStartedAt() || st.GetStartedAt() == 0 {
		t.Fatalf("status: %v", st)
	}
	if got := n.log(id, "stdout"); got != numbered(5000) {
		t.Fatalf("log has %d bytes, want %d", len(got), len(numbered(5000)))
	}
	if fi, err := os.Stat(st.GetLogPath()); err != nil || fi.Mode().Perm() != 0o640 {
		t.Errorf("log mode: %v, %v", fi.Mode(), err)
	}
	n.must(n.runtime.StopPodSandbox(n.ctx(), &cri.StopPodSandboxRequest{PodSandboxId: p.id}))
	n.must(n.runtime.RemovePodSandbox(n.ctx(), &cri.RemovePodSandboxRequest{PodSandboxId: p.id}))
	list, err := n.runtime.ListContainers(n.ctx(), &cri.ListContainersRequest{})
	if err != nil || len(list.GetContainers()) != 0 {
		t.Fatalf("left: %v, %v", list, err)
	}
}

func TestEndsAndTheirReasons(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("ends", nil)
	limit := func(c *cri.ContainerConfig) { c.Linux.Resources.MemoryLimitInBytes = 32 << 20 }
	for _, tc := range []struct {
		name   string
		args   []string
		change func(*cri.ContainerConfig)
		code   int32
		reason string
	}{
		{"zero", []string{"exit", "0"}, nil, 0, "Completed"},
		{"seven", []string{"exit", "7"}, nil, 7, "Error"},
		{"oom", []string{"hog", "100"}, limit, 137, "OOMKilled"},
	} {
		st := n.ended(p.run(tc.name, tc.args, tc.change))
		if st.GetExitCode() != tc.code || st.GetReason() != tc.reason {
			t.Errorf("%s: code %d reason %s, want %d %s", tc.name, st.GetExitCode(), st.GetReason(), tc.code, tc.reason)
		}
	}
	id := p.create("missing", nil, func(c *cri.ContainerConfig) { c.Command = []string{"/no/such/program"} })
	if _, err := n.runtime.StartContainer(n.ctx(), &cri.StartContainerRequest{ContainerId: id}); err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("a missing program: %v", err)
	}
	if st := n.ended(id); st.GetExitCode() != 128 || st.GetReason() != "StartError" {
		t.Errorf("a missing program: %v", st)
	}
}

func TestStopAsksThenKills(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("stop", nil)
	polite := p.run("polite", []string{"wait"}, nil)
	n.eventually("it waits", func() bool { return strings.Contains(n.log(polite, "stdout"), "waiting") })
	n.must(n.runtime.StopContainer(n.ctx(), &cri.StopContainerRequest{ContainerId: polite, Timeout: 30}))
	if st := n.status(polite); st.GetExitCode() != 0 || st.GetReason() != "Completed" {
		t.Errorf("asked: %v", st)
	}
	late := p.run("late", []string{"late"}, nil)
	n.eventually("it does not listen yet", func() bool { return strings.Contains(n.log(late, "stdout"), "deaf") })
	n.must(n.runtime.StopContainer(n.ctx(), &cri.StopContainerRequest{ContainerId: late, Timeout: 30}))
	if st := n.status(late); st.GetExitCode() != 0 || st.GetReason() != "Completed" {
		t.Errorf("asked before it listened: %v", st)
	}
	deaf := p.run("deaf", []string{"serve", "127.0.0.1:1"}, func(c *cri.ContainerConfig) { c.StopSignal = cri.Signal_SIGWINCH })
	n.must(n.runtime.StopContainer(n.ctx(), &cri.StopContainerRequest{ContainerId: deaf, Timeout: 1}))
	if st := n.status(deaf); st.GetExitCode() != 137 {
		t.Errorf("killed: %v", st)
	}
}

func TestProcessOptions(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("opts", nil)
	id := p.run("env", []string{"env"}, func(c *cri.ContainerConfig) {
		c.Envs = []*cri.KeyValue{{Key: "A", Value: []byte("b c")}}
		c.WorkingDir = "/tmp"
		c.Linux.SecurityContext.RunAsUsername = "app"
		c.Linux.SecurityContext.SupplementalGroups = []int64{77}
	})
	st := n.ended(id)
	out := n.log(id, "stdout")
	for _, want := range []string{"FROM=image\n", "A=b c\n", "HOSTNAME=opts\n", "cwd=/tmp host=opts uid=1000 gid=1000"} {
		if !strings.Contains(out, want) {
			t.Errorf("environment lacks %q:\n%s", want, out)
		}
	}
	if u := st.GetUser().GetLinux(); u.GetUid() != 1000 || fmt.Sprint(u.GetSupplementalGroups()) != "[1000 2000 77]" {
		t.Errorf("user: %v", u)
	}
	st = n.ended(p.run("strict", []string{"env"}, func(c *cri.ContainerConfig) {
		c.Linux.SecurityContext.RunAsUsername = "app"
		c.Linux.SecurityContext.SupplementalGroups = []int64{77}
		c.Linux.SecurityContext.SupplementalGroupsPolicy = cri.SupplementalGroupsPolicy_Strict
	}))
	if u := st.GetUser().GetLinux(); fmt.Sprint(u.GetSupplementalGroups()) != "[1000 77]" {
		t.Errorf("user without the groups of its image: %v", u)
	}
	id = p.run("caps", []string{"status"}, func(c *cri.ContainerConfig) {
		c.Linux.SecurityContext.NoNewPrivs = true
		c.Linux.SecurityContext.Capabilities = &cri.Capability{AddCapabilities: []string{"NET_ADMIN"}, DropCapabilities: []string{"ALL"}}
		c.Linux.SecurityContext.Seccomp = &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault}
	})
	n.ended(id)
	out = n.log(id, "stdout")
	for _, want := range []string{"CapEff:\t0000000000001000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(out, want) {
			t.Errorf("status lacks %q:\n%s", want, out)
		}
	}
}

func TestFilesAndMounts(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("files", nil)
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "f"), []byte("from the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(data, "made", "for", "it")
	id := p.run("main", []string{"wait"}, func(c *cri.ContainerConfig) {
		c.Linux.SecurityContext.ReadonlyRootfs = true
		c.Mounts = []*cri.Mount{{HostPath: data, ContainerPath: "/data", Readonly: true}, {HostPath: made, ContainerPath: "/made"},
			{Image: &cri.ImageSpec{Image: imageName}, ContainerPath: "/volume", ImageSubPath: "etc"}}
	})
	for _, tc := range []struct {
		cmd  []string
		want string
		code int
	}{
		{[]string{"cat", "/data/f"}, "from the host", 0},
		{[]string{"cat", "/etc/resolv.conf"}, "search svc.local\nnameserver 10.0.0.10", 0},
		{[]string{"cat", "/etc/hostname"}, "files\n", 0},
		{[]string{"cat", "/etc/hosts"}, p.ip() + "\tfiles", 0},
		{[]string{"cat", "/volume/passwd"}, "app:x:1000", 0},
		{[]string{"cat", "/etc/gone"}, "no such file", 1},
		{[]string{"write", "/made/x", "y"}, "", 0},
		{[]string{"write", "/dev/shm/x", "y"}, "", 0},
		{[]string{"write", "/data/x", "y"}, "read-only", 1},
		{[]string{"write", "/volume/x", "y"}, "read-only", 1},
		{[]string{"write", "/x", "y"}, "read-only", 1},
		{[]string{"write", "/sys/kernel/mm/ksm/run", "0"}, "read-only", 1},
	} {
		out, code := n.exec(id, tc.cmd...)
		if code != tc.code || !strings.Contains(out, tc.want) {
			t.Errorf("%v: %d %q, want %d %q", tc.cmd, code, out, tc.code, tc.want)
		}
	}
	if got, err := os.ReadFile(filepath.Join(made, "x")); err != nil || string(got) != "y" {
		t.Errorf("a made folder: %q, %v", got, err)
	}
}

func TestSeccompForbids(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("seccomp", nil)
	profile := filepath.Join(t.TempDir(), "profile.json")
	body, err := json.Marshal(map[string]any{"defaultAction": "SCMP_ACT_ALLOW",
		"syscalls": []any{map[string]any{"names": []string{"unshare"}, "action": "SCMP_ACT_ERRNO"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(profile, body, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		p    *cri.SecurityProfile
		code int32
	}{
		{"default", &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault}, 1},
		{"local", &cri.SecurityProfile{ProfileType: cri.SecurityProfile_Localhost, LocalhostRef: profile}, 1},
		{"none", &cri.SecurityProfile{ProfileType: cri.SecurityProfile_Unconfined}, 0},
	} {
		id := p.run(tc.name, []string{"try", "unshare"}, func(c *cri.ContainerConfig) { c.Linux.SecurityContext.Seccomp = tc.p })
		// A Go program has threads, for which the call fails in any case unless it is forbidden first.
		if st, out := n.ended(id), n.log(id, "stderr"); tc.name != "none" && (st.GetExitCode() != tc.code || !strings.Contains(out, "not permitted")) {
			t.Errorf("%s: %d %q", tc.name, st.GetExitCode(), out)
		}
	}
}

func TestSharedPIDNamespace(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("shared", func(c *cri.PodSandboxConfig) {
		c.Linux.SecurityContext.NamespaceOptions = &cri.NamespaceOption{Pid: cri.NamespaceMode_POD}
	})
	a, b := p.run("a", []string{"spawn"}, nil), p.run("b", []string{"wait"}, nil)
	out, code := n.exec(b, "cat", "/proc/1/cmdline")
	if code != 0 || !strings.HasPrefix(out, "knarr-pause") {
		t.Errorf("process 1: %d %q", code, out)
	}
	if out, code := n.exec(b, "cat", "/proc/1/root/etc/passwd"); code == 0 {
		t.Errorf("the host's files are open to a pod: %q", out)
	}
	// What the first container started must not outlive it in the shared namespace.
	n.must(n.runtime.StopContainer(n.ctx(), &cri.StopContainerRequest{ContainerId: a, Timeout: 0}))
	n.eventually("its children end", func() bool {
		groups, _ := os.ReadFile(filepath.Join("/sys/fs/cgroup/memory", n.cgroup, p.id, a, "cgroup.procs"))
		return len(strings.Fields(string(groups))) == 0
	})
	if st := n.status(b); st.GetState() != cri.ContainerState_CONTAINER_RUNNING {
		t.Errorf("the other container: %v", st)
	}
}

func TestExecSync(t *testing.T) {
	n := newNode(t)
	n.load()
	id := n.runPod("exec", nil).run("main", []string{"wait"}, nil)
	if out, code := n.exec(id, "print", "3", "9"); out != numbered(3) || code != 9 {
		t.Errorf("%q %d", out, code)
	}
	_, err := n.runtime.ExecSync(n.ctx(), &cri.ExecSyncRequest{ContainerId: id, Cmd: []string{"/workload", "spawn"}, Timeout: 1})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("time-out: %v", err)
	}
	procs := filepath.Join("/sys/fs/cgroup/memory", n.cgroup)
	n.eventually("its processes end", func() bool {
		count := 0
		_ = filepath.WalkDir(procs, func(path string, _ os.DirEntry, _ error) error {
			if filepath.Base(path) == "cgroup.procs" {
				data, _ := os.ReadFile(path)
				count += len(strings.Fields(string(data)))
			}
			return nil
		})
		return count == 1
	})
	if _, err := n.runtime.ExecSync(n.ctx(), &cri.ExecSyncRequest{ContainerId: id, Cmd: []string{"/none"}}); err == nil {
		t.Error("a missing program could be run")
	}
	if _, err := n.runtime.ExecSync(n.ctx(), &cri.ExecSyncRequest{ContainerId: "none", Cmd: []string{"x"}}); status.Code(err) != codes.NotFound {
		t.Errorf("a missing container: %v", err)
	}
}

func TestStatsAndUpdate(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("stats", nil)
	id := p.run("main", []string{"wait"}, func(c *cri.ContainerConfig) { c.Linux.Resources.MemoryLimitInBytes = 64 << 20 })
	var s *cri.ContainerStats
	n.eventually("its files are counted", func() bool {
		resp, err := n.runtime.ContainerStats(n.ctx(), &cri.ContainerStatsRequest{ContainerId: id})
		if err != nil {
			t.Fatal(err)
		}
		s = resp.GetStats()
		return s.GetWritableLayer() != nil
	})
	if s.GetCpu().GetUsageCoreNanoSeconds().GetValue() == 0 || s.GetMemory().GetWorkingSetBytes().GetValue() == 0 ||
		s.GetMemory().GetAvailableBytes().GetValue() == 0 || s.GetWritableLayer().GetInodesUsed().GetValue() == 0 {
		t.Errorf("stats: %v", s)
	}
	ps, err := n.runtime.ListPodSandboxStats(n.ctx(), &cri.ListPodSandboxStatsRequest{})
	if err != nil || len(ps.GetStats()) != 1 || ps.GetStats()[0].GetLinux().GetNetwork() == nil || ps.GetStats()[0].GetLinux().GetMemory() == nil {
		t.Errorf("pod stats: %v, %v", ps, err)
	}
	n.metricsAgree(p, id)
	n.must(n.runtime.UpdateContainerResources(n.ctx(), &cri.UpdateContainerResourcesRequest{ContainerId: id,
		Linux: &cri.LinuxContainerResources{MemoryLimitInBytes: 128 << 20, CpuShares: 512}}))
	got := n.status(id).GetResources().GetLinux()
	if got.GetMemoryLimitInBytes() != 128<<20 || got.GetCpuShares() != 512 {
		t.Errorf("resources: %v", got)
	}
	data, err := os.ReadFile(filepath.Join("/sys/fs/cgroup/memory", n.cgroup, p.id, id, "memory.limit_in_bytes"))
	if err == nil && strings.TrimSpace(string(data)) != fmt.Sprint(128<<20) {
		t.Errorf("limit: %s", data)
	}
}

// Limits that a container was given before it started are told after that too.
func TestUpdateBeforeTheStart(t *testing.T) {
	n := newNode(t)
	n.load()
	id := n.runPod("early", nil).create("main", []string{"wait"}, func(c *cri.ContainerConfig) { c.Linux.Resources.MemoryLimitInBytes = 64 << 20 })
	n.must(n.runtime.UpdateContainerResources(n.ctx(), &cri.UpdateContainerResourcesRequest{ContainerId: id,
		Linux: &cri.LinuxContainerResources{MemoryLimitInBytes: 128 << 20}}))
	n.must(n.runtime.StartContainer(n.ctx(), &cri.StartContainerRequest{ContainerId: id}))
	if got := n.status(id).GetResources().GetLinux(); got.GetMemoryLimitInBytes() != 128<<20 {
		t.Errorf("resources: %v", got)
	}
}
