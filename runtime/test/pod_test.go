package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// pod is a sandbox of a node.
type pod struct {
	*node
	id     string
	config *cri.PodSandboxConfig
}

// runPod makes a sandbox; change may alter its configuration.
func (n *node) runPod(name string, change func(*cri.PodSandboxConfig)) *pod {
	n.t.Helper()
	p := &pod{node: n, config: &cri.PodSandboxConfig{
		Metadata: &cri.PodSandboxMetadata{Name: name, Uid: "uid-" + name, Namespace: "default"}, Hostname: name,
		LogDirectory: filepath.Join(n.logs, name), DnsConfig: &cri.DNSConfig{Servers: []string{"10.0.0.10"}, Searches: []string{"svc.local"}},
		Labels: map[string]string{"app": name},
		Linux:  &cri.LinuxPodSandboxConfig{SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER}}}}}
	if change != nil {
		change(p.config)
	}
	resp, err := n.runtime.RunPodSandbox(n.ctx(), &cri.RunPodSandboxRequest{Config: p.config, RuntimeHandler: n.handler})
	if err != nil {
		n.t.Fatal(err)
	}
	p.id = resp.GetPodSandboxId()
	return p
}

func (p *pod) ip() string {
	p.t.Helper()
	resp, err := p.runtime.PodSandboxStatus(p.ctx(), &cri.PodSandboxStatusRequest{PodSandboxId: p.id})
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.GetStatus().GetNetwork().GetIp()
}

// create makes a container that runs the workload with args.
func (p *pod) create(name string, args []string, change func(*cri.ContainerConfig)) string {
	p.t.Helper()
	config := &cri.ContainerConfig{Metadata: &cri.ContainerMetadata{Name: name}, Image: &cri.ImageSpec{Image: imageName}, Args: args,
		LogPath: name + ".log", Linux: &cri.LinuxContainerConfig{Resources: &cri.LinuxContainerResources{},
			SecurityContext: &cri.LinuxContainerSecurityContext{NamespaceOptions: p.config.GetLinux().GetSecurityContext().GetNamespaceOptions()}}}
	if change != nil {
		change(config)
	}
	resp, err := p.runtime.CreateContainer(p.ctx(), &cri.CreateContainerRequest{PodSandboxId: p.id, Config: config, SandboxConfig: p.config})
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.GetContainerId()
}

// run creates and starts a container.
func (p *pod) run(name string, args []string, change func(*cri.ContainerConfig)) string {
	p.t.Helper()
	id := p.create(name, args, change)
	p.must(p.runtime.StartContainer(p.ctx(), &cri.StartContainerRequest{ContainerId: id}))
	return id
}

func (n *node) status(id string) *cri.ContainerStatus {
	n.t.Helper()
	resp, err := n.runtime.ContainerStatus(n.ctx(), &cri.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.GetStatus()
}

// ended waits for the end of a container and returns its status.
func (n *node) ended(id string) *cri.ContainerStatus {
	n.t.Helper()
	var st *cri.ContainerStatus
	n.eventually("container ends", func() bool {
		st = n.status(id)
		return st.GetState() == cri.ContainerState_CONTAINER_EXITED
	})
	return st
}

// log returns what a container has written to a stream, taken from its CRI log.
func (n *node) log(id, stream string) string {
	n.t.Helper()
	data, err := os.ReadFile(n.status(id).GetLogPath())
	if err != nil {
		n.t.Fatal(err)
	}
	return parseLog(data, stream)
}

func parseLog(data []byte, stream string) string {
	var out strings.Builder
	for _, entry := range bytes.Split(data, []byte("\n")) {
		parts := bytes.SplitN(entry, []byte(" "), 4)
		if len(parts) < 4 || string(parts[1]) != stream {
			continue
		}
		out.Write(parts[3])
		if string(parts[2]) == "F" {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// exec runs a command in a container and returns its output and exit code.
func (n *node) exec(id string, cmd ...string) (string, int) {
	n.t.Helper()
	resp, err := n.runtime.ExecSync(n.ctx(), &cri.ExecSyncRequest{ContainerId: id, Cmd: append([]string{"/workload"}, cmd...)})
	if err != nil {
		n.t.Fatal(err)
	}
	return string(resp.GetStdout()) + string(resp.GetStderr()), int(resp.GetExitCode())
}

// numbered is what the workload prints: count lines.
func numbered(count int) string {
	var b strings.Builder
	for i := range count {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()
}
