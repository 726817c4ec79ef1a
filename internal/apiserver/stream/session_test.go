package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
)

// executors are the protocols that clients use.
func executors(t *testing.T, f *fixture, path string) map[string]remotecommand.Executor {
	t.Helper()
	config := &rest.Config{Host: f.url}
	out := map[string]remotecommand.Executor{}
	var err error
	if out["WebSocket v5"], err = remotecommand.NewWebSocketExecutor(config, http.MethodGet, f.at(path).String()); err != nil {
		t.Fatal(err)
	}
	if out["WebSocket v4"], err = remotecommand.NewWebSocketExecutorForProtocols(config, http.MethodGet, f.at(path).String(), "v4.channel.k8s.io"); err != nil {
		t.Fatal(err)
	}
	if out["SPDY"], err = remotecommand.NewSPDYExecutor(config, http.MethodPost, f.at(path)); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestExec(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for name, e := range executors(t, f, "/pods/p/exec?command=fail&stdout=true&stderr=true") {
		var stdout, stderr bytes.Buffer
		err := e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr})
		var exit exec.CodeExitError
		if !errors.As(err, &exit) || exit.Code != 7 || stderr.String() != "no luck" {
			t.Errorf("%s: %v, %q", name, err, stderr.String())
		}
	}
	for _, path := range []string{"/pods/p/exec?command=cat&stdin=true&stdout=true", "/pods/p/attach?stdin=true&stdout=true"} {
		for name, e := range executors(t, f, path) {
			if name == "WebSocket v4" {
				continue // v4 cannot close standard input
			}
			var stdout bytes.Buffer
			text := strings.Repeat("0123456789", 20_000)
			err := e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader(text), Stdout: &stdout})
			if err != nil || stdout.String() != text {
				t.Errorf("%s %s: %v, %d bytes", name, path, err, stdout.Len())
			}
		}
	}
}

// sizes is a terminal that has one size.
type sizes chan *remotecommand.TerminalSize

func (s sizes) Next() *remotecommand.TerminalSize { return <-s }

func TestTerminalSize(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for name, e := range executors(t, f, "/pods/p/exec?command=size&stdin=true&stdout=true&tty=true") {
		queue := make(sizes, 1)
		queue <- &remotecommand.TerminalSize{Width: 80, Height: 24}
		var stdout bytes.Buffer
		reader, writer := io.Pipe()
		err := e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: reader, Stdout: &stdout, Tty: true, TerminalSizeQueue: queue})
		close(queue)
		_ = writer.Close()
		if err != nil || stdout.String() != "80x24" {
			t.Errorf("%s: %v %q", name, err, stdout.String())
		}
	}
}

// signal is a writer that tells of its first write.
type signal struct{ seen chan struct{} }

func (s signal) Write(p []byte) (int, error) {
	select {
	case s.seen <- struct{}{}:
	default:
	}
	return len(p), nil
}

func TestExecEndsWithTheClient(t *testing.T) {
	for _, name := range []string{"WebSocket v5", "WebSocket v4", "SPDY"} {
		f := newFixture(t)
		e := executors(t, f, "/pods/p/exec?command=wait&stdin=true&stdout=true")[name]
		ctx, cancel := context.WithCancel(t.Context())
		out := signal{make(chan struct{}, 1)}
		reader, writer := io.Pipe()
		done := make(chan error, 1)
		go func() {
			done <- e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: reader, Stdout: out})
		}()
		select {
		case <-out.seen:
		case <-time.After(soon):
			t.Fatalf("%s: the command did not start", name)
		}
		cancel()
		awaitEnd(t, f)
		<-done
		_ = writer.Close()
	}
}

func TestSessionRefusals(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		path, want string
		code       int
	}{
		{"/pods/early/exec?command=ls", "pod early does not have a host assigned", 400},
		{"/pods/early/attach", "pod early does not have a host assigned", 400},
		{"/pods/early/portforward", "pod early does not have a host assigned", 400},
		{"/pods/done/exec?command=ls", "cannot exec into a container in a completed pod; current phase is Succeeded", 400},
		{"/pods/two/exec?command=ls", "a container name must be specified for pod two, choose one of: [a b]", 400},
		{"/pods/p/exec?command=ls&stdout=true", "Upgrade request required", 400},
	} {
		if code, got := f.ask(t, http.MethodPost, c.path); code != c.code || got != c.want {
			t.Errorf("%s: %d %q", c.path, code, got)
		}
	}
}

func TestPortForward(t *testing.T) {
	f := newFixture(t)
	config := &rest.Config{Host: f.url}
	location := f.at("/pods/p/portforward")
	tunnel, err := portforward.NewSPDYOverWebsocketDialerForStreaming(location, config)
	if err != nil {
		t.Fatal(err)
	}
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		t.Fatal(err)
	}
	plain := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, location)
	for name, forward := range map[string]func(stop, ready chan struct{}) (*portforward.PortForwarder, error){
		"WebSocket tunnel": func(stop, ready chan struct{}) (*portforward.PortForwarder, error) {
			return portforward.NewOnAddressesForStreaming(tunnel, []string{"127.0.0.1"}, []string{"0:80"}, stop, ready, io.Discard, io.Discard)
		},
		"SPDY": func(stop, ready chan struct{}) (*portforward.PortForwarder, error) {
			return portforward.NewOnAddressesForStreaming(plain, []string{"127.0.0.1"}, []string{"0:80"}, stop, ready, io.Discard, io.Discard)
		},
	} {
		stop, ready := make(chan struct{}), make(chan struct{})
		forwarder, err := forward(stop, ready)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- forwarder.ForwardPorts() }()
		select {
		case <-ready:
		case err := <-done:
			t.Fatalf("%s: %v", name, err)
		case <-time.After(soon):
			t.Fatalf("%s: not ready", name)
		}
		ports, err := forwarder.GetPorts()
		if err != nil {
			t.Fatal(err)
		}
		checkEcho(t, name, fmt.Sprintf("127.0.0.1:%d", ports[0].Local))
		close(stop)
		if err := <-done; err != nil && !errors.Is(err, portforward.ErrLostConnectionToPod) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
