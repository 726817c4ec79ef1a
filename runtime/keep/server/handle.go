package server

import (
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keep/fdconn"
	"github.com/knarr-io/knarr/runtime/keep/wire"
	"github.com/knarr-io/knarr/runtime/proc"
)

// handle answers one request. An error ends the connection.
func (s *Server) handle(c *fdconn.Conn, line []byte) error {
	var req wire.Request
	if err := json.Unmarshal(line, &req); err != nil {
		return reply(c, wire.Answer{}, invalid("request: %v", err))
	}
	fds, err := c.Take(req.FDs)
	if err != nil {
		// The descriptors no longer match the lines: start over.
		_ = reply(c, wire.Answer{}, invalid("%v", err))
		return err
	}
	if req.Op != wire.OpHold {
		closeAll(fds)
	}
	switch req.Op {
	case wire.OpStart, wire.OpStop, wire.OpList, wire.OpShutdown, wire.OpReexec:
		return s.handleService(c, req)
	case wire.OpEvents:
		return s.streamEvents(c)
	case wire.OpExits:
		return s.streamExits(c, req.Since)
	case wire.OpForget:
		return reply(c, wire.Answer{}, s.Exits.Forget(proc.ID{PID: req.PID, StartTime: req.StartTime}))
	}
	return s.handleHold(c, req, fds)
}

func (s *Server) handleService(c *fdconn.Conn, req wire.Request) error {
	switch req.Op {
	case wire.OpStart:
		if req.Service == nil {
			return reply(c, wire.Answer{}, invalid("start needs a service"))
		}
		existing, err := s.Supervisor.Start(*req.Service)
		return reply(c, wire.Answer{Existing: existing}, err)
	case wire.OpStop:
		sig := unix.SIGTERM
		if req.Signal != 0 {
			sig = unix.Signal(req.Signal)
		}
		return reply(c, wire.Answer{}, s.Supervisor.Stop(req.Name, sig, time.Duration(req.GraceMillis)*time.Millisecond))
	case wire.OpList:
		return reply(c, wire.Answer{Services: s.Supervisor.List()}, nil)
	case wire.OpReexec:
		return reply(c, wire.Answer{}, s.Reexec(req.Path))
	}
	var err error
	if req.StopServices {
		err = s.Supervisor.StopAll()
	}
	if err == nil {
		defer s.Shutdown()
	}
	return reply(c, wire.Answer{}, err)
}

func (s *Server) handleHold(c *fdconn.Conn, req wire.Request, fds []int) error {
	switch req.Op {
	case wire.OpHold:
		if req.Key == "" || len(fds) == 0 {
			closeAll(fds)
			return reply(c, wire.Answer{}, invalid("hold needs a key and descriptors"))
		}
		return reply(c, wire.Answer{}, s.Holds.Hold(req.Key, fds))
	case wire.OpTake:
		found, err := s.Holds.With(req.Key, func(fds []int) error {
			return send(c, wire.Answer{OK: true}, fds)
		})
		if err == nil && !found {
			return reply(c, wire.Answer{}, &wire.Error{Code: wire.CodeNotFound, Message: "nothing is held under " + req.Key})
		}
		return err
	case wire.OpDrop:
		s.Holds.Drop(req.Key)
		return reply(c, wire.Answer{}, nil)
	case wire.OpHolds:
		return reply(c, wire.Answer{Holds: s.Holds.List()}, nil)
	}
	return reply(c, wire.Answer{}, invalid("unknown operation %q", req.Op))
}

func invalid(format string, args ...any) error {
	return &wire.Error{Code: wire.CodeInvalid, Message: fmt.Sprintf(format, args...)}
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
