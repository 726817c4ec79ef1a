package apiserver

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/knarr-io/knarr/internal/apiserver/limits"
)

func TestConnectionsAreCounted(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := limitConnections(inner, 1, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = ln.Close() })
	accepted := make(chan net.Conn, 2)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		return conn
	}
	dial()
	first := <-accepted
	if _, err := dial().Read(make([]byte, 1)); err != io.EOF && !isReset(err) {
		t.Fatalf("one too many: %v", err)
	}
	_ = first.Close()
	_ = first.Close() // a second time counts for nothing
	dial()
	(<-accepted).Close()
}

func isReset(err error) bool {
	_, isNet := err.(net.Error)
	return isNet && err != nil && !err.(net.Error).Timeout()
}

func TestTheServersOfConnectionsHaveTheirBounds(t *testing.T) {
	s := &Server{Config: Config{Logger: slog.New(slog.DiscardHandler)}}
	one, two := s.httpServer(), http2Settings()
	if one.ReadHeaderTimeout != limits.Handshake || one.IdleTimeout != limits.Idle || one.MaxHeaderBytes != limits.Headers {
		t.Errorf("HTTP/1: %+v", one)
	}
	if two.MaxConcurrentStreams != limits.Streams || two.IdleTimeout != limits.Idle {
		t.Errorf("HTTP/2: %+v", two)
	}
}
