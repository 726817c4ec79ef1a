package stream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"testing"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"
	client "k8s.io/client-go/tools/remotecommand"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"github.com/knarr-io/knarr/runtime/stdio"
)

// quiet is a runtime with one container, which says nothing.
type quiet struct {
	*Backend
	streams      *stdio.Streams
	began, ended chan struct{}
}

func (q *quiet) Attach(ctx context.Context, _ string, in io.Reader, out, err io.WriteCloser, tty bool, sizes <-chan remotecommand.TerminalSize) error {
	close(q.began)
	defer close(q.ended)
	return attach(ctx, q.streams, false, in, out, err, tty, sizes)
}

// Who attaches to a container that says nothing, and leaves, is not waited on.
func TestLeavingAQuietContainer(t *testing.T) {
	for _, in := range []bool{false, true} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		cfg := streaming.DefaultConfig
		cfg.BaseURL = &url.URL{Scheme: "http", Host: ln.Addr().String(), Path: "/cri/"}
		q := &quiet{streams: &stdio.Streams{}, began: make(chan struct{}), ended: make(chan struct{})}
		streams, err := streaming.NewServer(cfg, q)
		if err != nil {
			t.Fatal(err)
		}
		srv := Server(streams)
		go func() { _ = srv.Serve(Watch(ln)) }()
		resp, err := streams.GetAttach(&cri.AttachRequest{ContainerId: "c", Stdin: in, Stdout: true})
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(resp.GetUrl())
		if err != nil {
			t.Fatal(err)
		}
		e, err := client.NewSPDYExecutor(&rest.Config{Host: u.Host}, "POST", u)
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		o := client.StreamOptions{Stdout: io.Discard}
		if in {
			r, w := io.Pipe()
			defer w.Close()
			o.Stdin = r
		}
		go func() { _ = e.StreamWithContext(ctx, o) }()
		<-q.began
		select {
		case <-q.ended:
			t.Error("it ended before its client left")
		default:
		}
		leave()
		<-q.ended
		srv.Close()
	}
}

// sending is a stream that its client goes on sending to: closing it ends one way only.
type sending struct{ net.Conn }

func (sending) Close() error { return nil }

// A pod that aborts a connection ends it, though the client has more to say.
func TestAbortedForwardEnds(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	server.Close()
	stream, other := net.Pipe()
	defer other.Close()
	if err := forward(t.Context(), sending{stream}, conn); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%v, want that the connection was reset", err)
	}
}
