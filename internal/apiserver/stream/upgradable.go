package stream

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
)

// upgradable is a response whose connection a handler may take over. The
// server stops watching a connection that was given away: so this one tells
// when the client leaves it, and closes it when the context ends.
type upgradable struct {
	http.ResponseWriter
	ctx  context.Context
	gone func()
}

// Unwrap lets http.ResponseController find what the wrapped writer can do.
func (u *upgradable) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// Hijack implements http.Hijacker by the writer below that can: the libraries
// that upgrade connections do not look under wrappers.
func (u *upgradable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("the connection cannot be upgraded: %w", err)
	}
	watched := &watchedConn{Conn: conn, gone: u.gone}
	// What the client sent right behind its request is already buffered.
	if early := buffered.Reader.Buffered(); early > 0 {
		watched.early = make([]byte, early)
		if _, err := buffered.Reader.Read(watched.early); err != nil {
			return nil, nil, err
		}
	}
	context.AfterFunc(u.ctx, func() { _ = conn.Close() }) // closing twice does no harm
	return watched, bufio.NewReadWriter(bufio.NewReader(watched), bufio.NewWriter(watched)), nil
}

// watchedConn calls gone when reading fails.
type watchedConn struct {
	net.Conn
	early []byte
	gone  func()
}

func (c *watchedConn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p)
	if err != nil {
		c.gone()
	}
	return n, err
}
