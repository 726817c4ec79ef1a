package test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// relay makes an address of the runtime's streaming server reachable from the test's own network.
func (n *node) relay(address string) *url.URL {
	n.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		n.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { ln.Close() })
	target := u.Host
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := n.dial("tcp", target)
			if err != nil {
				c.Close()
				continue
			}
			go join(c, out)
			go join(out, c)
		}
	}()
	u.Host = ln.Addr().String()
	return u
}

func join(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	to.Close()
	from.Close()
}

// executor speaks SPDY, which is what API servers speak to nodes whatever their clients use.
func executor(t *testing.T, u *url.URL) remotecommand.Executor {
	t.Helper()
	e, err := remotecommand.NewSPDYExecutor(&rest.Config{Host: u.Host}, "POST", u)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestExecStreams(t *testing.T) {
	n := newNode(t)
	n.load()
	id := n.runPod("exec", nil).run("main", []string{"wait"}, nil)
	stream := func(o remotecommand.StreamOptions, cmd ...string) error {
		resp, err := n.runtime.Exec(n.ctx(), &cri.ExecRequest{ContainerId: id, Cmd: append([]string{"/workload"}, cmd...),
			Stdin: o.Stdin != nil, Stdout: o.Stdout != nil, Stderr: o.Stderr != nil, Tty: o.Tty})
		if err != nil {
			t.Fatal(err)
		}
		return executor(t, n.relay(resp.GetUrl())).StreamWithContext(n.ctx(), o)
	}
	var out, errs bytes.Buffer
	if err := stream(remotecommand.StreamOptions{Stdin: strings.NewReader("one\ntwo\n"), Stdout: &out, Stderr: &errs}, "echo"); err != nil || out.String() != "ONE\nTWO\nEND\n" {
		t.Errorf("%q %q %v", out.String(), errs.String(), err)
	}
	out.Reset()
	var exit utilexec.CodeExitError
	if err := stream(remotecommand.StreamOptions{Stdout: &out, Stderr: &errs}, "print", "2", "8"); !errors.As(err, &exit) || exit.Code != 8 || out.String() != numbered(2) {
		t.Errorf("exit code: %v %q", err, out.String())
	}
	out.Reset()
	if err := stream(remotecommand.StreamOptions{Stdout: &out, Tty: true}, "print", "2", "0"); err != nil || out.String() != strings.ReplaceAll(numbered(2), "\n", "\r\n") {
		t.Errorf("terminal: %v %q", err, out.String())
	}
}

func TestAttach(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("attach", nil)
	for _, tty := range []bool{false, true} {
		id := p.run(fmt.Sprint("main-", tty), []string{"echo"}, func(c *cri.ContainerConfig) { c.Stdin, c.StdinOnce, c.Tty = true, true, tty })
		if tty {
			// What was held must be usable after a restart.
			n.killRuntime()
			n.answers()
		}
		resp, err := n.runtime.Attach(n.ctx(), &cri.AttachRequest{ContainerId: id, Stdin: true, Stdout: true, Stderr: !tty, Tty: tty})
		if err != nil {
			t.Fatal(err)
		}
		inR, inW := io.Pipe()
		outR, outW := io.Pipe()
		done := make(chan error, 1)
		go func() {
			o := remotecommand.StreamOptions{Stdin: inR, Stdout: outW, Tty: tty}
			if !tty {
				o.Stderr = io.Discard
			}
			done <- executor(t, n.relay(resp.GetUrl())).StreamWithContext(n.ctx(), o)
			outW.Close()
		}()
		if _, err := io.WriteString(inW, "hello\n"); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(outR)
		for lines.Scan() && !strings.Contains(lines.Text(), "HELLO") {
		}
		if tty {
			if _, err := inW.Write([]byte{4}); err != nil { // end of input
				t.Fatal(err)
			}
		} else {
			inW.Close()
		}
		for lines.Scan() {
		}
		if err := <-done; err != nil {
			t.Errorf("tty %v: %v", tty, err)
		}
		if st := n.ended(id); st.GetExitCode() != 0 || !strings.Contains(n.log(id, "stdout"), "HELLO") {
			t.Errorf("tty %v: %v, log %q", tty, st, n.log(id, "stdout"))
		}
	}
}

func TestPortForward(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("forward", nil)
	id := p.run("server", []string{"serve", "127.0.0.1:8080"}, nil)
	n.eventually("it serves", func() bool { return strings.Contains(n.log(id, "stdout"), "serving") })
	resp, err := n.runtime.PortForward(n.ctx(), &cri.PortForwardRequest{PodSandboxId: p.id, Port: []int32{8080, 9}})
	if err != nil {
		t.Fatal(err)
	}
	u := n.relay(resp.GetUrl())
	transport, upgrader, err := spdy.RoundTripperFor(&rest.Config{Host: u.Host})
	if err != nil {
		t.Fatal(err)
	}
	stop, ready := make(chan struct{}), make(chan struct{})
	forwarder, err := portforward.NewOnAddresses(spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", u),
		[]string{"127.0.0.1"}, []string{"0:8080"}, stop, ready, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0].Local), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "ping\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(c).ReadString('\n'); line != "ping\n" {
			t.Errorf("%q, %v", line, err)
		}
		c.Close()
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestStreamAddressWorksOnce(t *testing.T) {
	n := newNode(t)
	n.load()
	id := n.runPod("once", nil).run("main", []string{"wait"}, nil)
	resp, err := n.runtime.Exec(n.ctx(), &cri.ExecRequest{ContainerId: id, Cmd: []string{"/workload", "exit", "0"}, Stdout: true})
	if err != nil {
		t.Fatal(err)
	}
	u := n.relay(resp.GetUrl())
	run := func() error {
		return executor(t, u).StreamWithContext(context.Background(), remotecommand.StreamOptions{Stdout: io.Discard})
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	if err := run(); err == nil {
		t.Fatal("an address worked twice")
	}
}

// started is closed by the first write.
type started struct {
	once sync.Once
	c    chan struct{}
}

func (s *started) Write(p []byte) (int, error) {
	s.once.Do(func() { close(s.c) })
	return len(p), nil
}

// A command whose client has gone learns of it when it writes, and ends.
func TestACommandEndsWithItsReader(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("gone", nil)
	id := p.run("main", []string{"wait"}, nil)
	for _, tty := range []bool{false, true} {
		leaveCommand(t, n, p, id, tty)
	}
}

// leaveCommand begins a command that writes and writes, leaves it, and waits for its end.
func leaveCommand(t *testing.T, n *node, p *pod, id string, tty bool) {
	t.Helper()
	resp, err := n.runtime.Exec(n.ctx(), &cri.ExecRequest{ContainerId: id, Cmd: []string{"/workload", "print", "1000000000", "0"}, Stdout: true, Tty: tty})
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(n.ctx())
	defer leave()
	reads := &started{c: make(chan struct{})}
	left := make(chan error, 1)
	go func() {
		left <- executor(t, n.relay(resp.GetUrl())).StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: reads, Tty: tty})
	}()
	select {
	case <-reads.c:
	case err := <-left:
		t.Fatal(err)
	}
	leave()
	<-left
	n.eventually(fmt.Sprintf("the command has ended, terminal %v", tty), func() bool {
		return len(n.processes(p, id)) == 1
	})
}

// processes are those of a container.
func (n *node) processes(p *pod, id string) []string {
	n.t.Helper()
	data, err := os.ReadFile("/sys/fs/cgroup/memory" + n.cgroup + "/" + p.id + "/" + id + "/cgroup.procs")
	if err != nil {
		n.t.Fatal(err)
	}
	return strings.Fields(string(data))
}
