package test

import (
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestPodsReachEachOtherAndTheNode(t *testing.T) {
	n := newNode(t)
	n.load()
	a, b := n.runPod("a", nil), n.runPod("b", nil)
	if a.ip() == b.ip() || !strings.HasPrefix(a.ip(), "10.244.77.") {
		t.Fatalf("addresses %s and %s", a.ip(), b.ip())
	}
	server := a.run("server", []string{"serve", "0.0.0.0:8080"}, nil)
	n.eventually("it serves", func() bool { return strings.Contains(n.log(server, "stdout"), "serving") })
	client := b.run("client", []string{"wait"}, nil)
	if out, code := n.exec(client, "dial", net.JoinHostPort(a.ip(), "8080"), "hello"); out != "hello\n" || code != 0 {
		t.Errorf("pod to pod: %q %d", out, code)
	}
	// The containers of one pod share its loopback address.
	second := a.run("second", []string{"wait"}, nil)
	if out, code := n.exec(second, "dial", "127.0.0.1:8080", "mine"); out != "mine\n" || code != 0 {
		t.Errorf("within a pod: %q %d", out, code)
	}
	c, err := n.dial("tcp", net.JoinHostPort(a.ip(), "8080"))
	if err != nil {
		t.Fatalf("node to pod: %v", err)
	}
	c.Close()
	n.must(n.runtime.StopPodSandbox(n.ctx(), &cri.StopPodSandboxRequest{PodSandboxId: a.id}))
	n.eventually("one of two pods' links is gone", func() (gone bool) {
		n.inNet(func() error {
			links, err := net.Interfaces()
			gone = len(links) == 2
			return err
		})
		return gone
	})
}

func TestHostNetwork(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("host", func(c *cri.PodSandboxConfig) {
		c.Hostname = ""
		c.Linux.SecurityContext.NamespaceOptions = &cri.NamespaceOption{Network: cri.NamespaceMode_NODE, Pid: cri.NamespaceMode_NODE, Ipc: cri.NamespaceMode_NODE}
	})
	if p.ip() != "" {
		t.Errorf("address %s", p.ip())
	}
	id := p.run("server", []string{"serve", "127.0.0.1:7654"}, nil)
	n.eventually("it serves", func() bool { return strings.Contains(n.log(id, "stdout"), "serving") })
	c, err := n.dial("tcp", "127.0.0.1:7654")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestSysctlsStayInThePod(t *testing.T) {
	n := newNode(t)
	n.load()
	id := n.runPod("sysctl", func(c *cri.PodSandboxConfig) {
		c.Linux.Sysctls = map[string]string{"net.ipv4.ip_unprivileged_port_start": "7", "kernel.shm_rmid_forced": "1"}
	}).run("main", []string{"wait"}, nil)
	for path, want := range map[string]string{"net/ipv4/ip_unprivileged_port_start": "7\n", "kernel/shm_rmid_forced": "1\n"} {
		if out, _ := n.exec(id, "cat", "/proc/sys/"+path); out != want {
			t.Errorf("%s: %q", path, out)
		}
	}
	_, err := n.runtime.RunPodSandbox(n.ctx(), &cri.RunPodSandboxRequest{Config: &cri.PodSandboxConfig{Metadata: &cri.PodSandboxMetadata{Name: "x"},
		Linux: &cri.LinuxPodSandboxConfig{Sysctls: map[string]string{"kernel.pid_max": "1"}}}})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a sysctl of the node: %v", err)
	}
}

func TestNoAddressNoPod(t *testing.T) {
	n := newNode(t)
	n.must(n.runtime.UpdateRuntimeConfig(n.ctx(), &cri.UpdateRuntimeConfigRequest{RuntimeConfig: &cri.RuntimeConfig{
		NetworkConfig: &cri.NetworkConfig{PodCidr: "10.244.78.0/29"}}}))
	for range 5 {
		n.runPod("p", nil)
	}
	_, err := n.runtime.RunPodSandbox(n.ctx(), &cri.RunPodSandboxRequest{Config: &cri.PodSandboxConfig{Metadata: &cri.PodSandboxMetadata{Name: "x"}}})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a full range: %v", err)
	}
	list, err := n.runtime.ListPodSandbox(n.ctx(), &cri.ListPodSandboxRequest{Filter: &cri.PodSandboxFilter{LabelSelector: map[string]string{"app": "p"}}})
	if err != nil || len(list.GetItems()) != 5 {
		t.Errorf("sandboxes: %d, %v", len(list.GetItems()), err)
	}
}

func TestEvents(t *testing.T) {
	n := newNode(t)
	n.load()
	stream, err := n.runtime.GetContainerEvents(n.ctx(), &cri.GetEventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Header(); err != nil {
		t.Fatal(err)
	}
	p := n.runPod("events", nil)
	id := p.run("main", []string{"exit", "5"}, nil)
	var got []string
	for len(got) < 8 {
		if len(got) == 5 { // the container's end was told, and is not the removal's
			n.must(n.runtime.RemovePodSandbox(n.ctx(), &cri.RemovePodSandboxRequest{PodSandboxId: p.id}))
		}
		e, err := stream.Recv()
		if err != nil {
			t.Fatalf("after %v: %v", got, err)
		}
		who := "pod"
		if e.GetContainerId() == id {
			who = "main"
		}
		kind := strings.TrimSuffix(strings.TrimPrefix(e.GetContainerEventType().String(), "CONTAINER_"), "_EVENT")
		got = append(got, who+" "+kind)
		if who == "main" && kind == "STOPPED" && (len(e.GetContainersStatuses()) != 1 || e.GetContainersStatuses()[0].GetExitCode() != 5) {
			t.Errorf("statuses of the end: %v", e.GetContainersStatuses())
		}
	}
	want := "pod CREATED,pod STARTED,main CREATED,main STARTED,main STOPPED,pod STOPPED,main DELETED,pod DELETED"
	if strings.Join(got, ",") != want {
		t.Errorf("got %v", got)
	}
}
