package apiserver

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
)

// limitConnections lets so many connections be open at a time. Further ones
// are closed at once: their clients learn of it, and those that are open go
// on.
func limitConnections(ln net.Listener, most int, logger *slog.Logger) net.Listener {
	return &boundedListener{Listener: ln, most: int64(most), logger: logger}
}

type boundedListener struct {
	net.Listener
	most   int64
	logger *slog.Logger
	open   atomic.Int64
	full   atomic.Bool // told the log, once for each time of need
}

// Accept is part of net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.most {
			l.full.Store(false)
			return &countedConn{Conn: conn, gone: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
		}
		l.open.Add(-1)
		if !l.full.Swap(true) {
			l.logger.Warn("too many connections are open; new ones are closed", "open", l.most)
		}
		_ = conn.Close()
	}
}

type countedConn struct {
	net.Conn
	gone func()
}

// Close is part of net.Conn.
func (c *countedConn) Close() error {
	c.gone()
	return c.Conn.Close()
}
