// Package server answers keep's control protocol. It wires the supervisor, the
// held descriptors and the exit log to the socket, and owns none of their state.
package server

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keep/fdconn"
	"github.com/knarr-io/knarr/runtime/keep/holds"
	"github.com/knarr-io/knarr/runtime/keep/reaper"
	"github.com/knarr-io/knarr/runtime/keep/supervisor"
	"github.com/knarr-io/knarr/runtime/keep/wire"
)

// Server serves the protocol.
type Server struct {
	Log        *slog.Logger
	Supervisor *supervisor.Supervisor
	Holds      *holds.Table
	Exits      *reaper.Log
	// Reexec runs a new keep in place of this one; it returns only on failure.
	Reexec func(path string) error
	// Shutdown ends keep after the answer was sent.
	Shutdown func()
}

// acceptPause is how long keep waits for what it lacks, such as a free descriptor.
const acceptPause = 100 * time.Millisecond

// Serve answers connections of ln until it is closed. What is held and
// supervised outlives every other failure.
func (s *Server) Serve(ln *net.UnixListener) {
	for told := false; ; {
		sock, err := ln.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			if !told {
				s.Log.Error("cannot take clients", "error", err)
			}
			told = true
			time.Sleep(acceptPause)
		default:
			told = false
			go s.serve(sock)
		}
	}
}

func (s *Server) serve(sock *net.UnixConn) {
	c := fdconn.New(sock, wire.MaxLine, wire.MaxFDs)
	defer c.Close()
	if err := checkPeer(sock); err != nil {
		s.Log.Warn("refused a client", "error", err)
		return
	}
	for {
		line, err := c.ReadLine()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				s.Log.Debug("client is gone", "error", err)
			}
			return
		}
		if err := s.handle(c, line); err != nil {
			return
		}
	}
}

// checkPeer lets only root in, whatever the mode of the socket's folder.
func checkPeer(sock *net.UnixConn) error {
	raw, err := sock.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if credErr != nil {
		return credErr
	}
	if cred.Uid != 0 {
		return errors.New("peer is not root")
	}
	return nil
}

func send(c *fdconn.Conn, a wire.Answer, fds []int) error {
	a.FDs = len(fds)
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return c.WriteLine(data, fds)
}

// reply sends a, or the error in its place.
func reply(c *fdconn.Conn, a wire.Answer, err error) error {
	if err != nil {
		return send(c, wire.Answer{Error: classify(err)}, nil)
	}
	a.OK = true
	return send(c, a, nil)
}

func classify(err error) *wire.Error {
	var we *wire.Error
	switch {
	case errors.As(err, &we):
		return we
	case errors.Is(err, supervisor.ErrNoService):
		return &wire.Error{Code: wire.CodeNotFound, Message: err.Error()}
	}
	return &wire.Error{Code: wire.CodeInternal, Message: err.Error()}
}
