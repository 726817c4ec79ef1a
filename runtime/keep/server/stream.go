package server

import (
	"errors"

	"github.com/knarr-io/knarr/runtime/keep/fdconn"
	"github.com/knarr-io/knarr/runtime/keep/wire"
)

// errStreamOver ends a connection whose stream is over.
var errStreamOver = errors.New("stream is over")

// hangup returns a channel that closes when the client sends anything or hangs up.
func hangup(c *fdconn.Conn) <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = c.ReadLine()
	}()
	return gone
}

func (s *Server) streamEvents(c *fdconn.Conn) error {
	now, changes, cancel := s.Supervisor.Subscribe()
	defer cancel()
	gone := hangup(c)
	if err := reply(c, wire.Answer{}, nil); err != nil {
		return err
	}
	for i := range now {
		if err := send(c, wire.Answer{Event: &now[i]}, nil); err != nil {
			return err
		}
	}
	if err := send(c, wire.Answer{Sync: true}, nil); err != nil {
		return err
	}
	for {
		select {
		case <-gone:
			return errStreamOver
		case st, ok := <-changes:
			if !ok {
				return errStreamOver
			}
			if err := send(c, wire.Answer{Event: &st}, nil); err != nil {
				return err
			}
		}
	}
}

func (s *Server) streamExits(c *fdconn.Conn, since uint64) error {
	more, cancel := s.Exits.Subscribe()
	defer cancel()
	gone := hangup(c)
	if err := reply(c, wire.Answer{}, nil); err != nil {
		return err
	}
	for synced := false; ; {
		for _, e := range s.Exits.Since(since) {
			since = e.Seq
			if err := send(c, wire.Answer{Exit: &e}, nil); err != nil {
				return err
			}
		}
		if !synced {
			synced = true
			if err := send(c, wire.Answer{Sync: true}, nil); err != nil {
				return err
			}
		}
		select {
		case <-gone:
			return errStreamOver
		case <-more:
		}
	}
}
