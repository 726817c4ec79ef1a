package apiserver

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/knarr-io/knarr/internal/apiserver/limits"
)

const (
	// gatherMost is how many bytes of a connection may wait to be sent.
	gatherMost = 16 << 10
	// gatherBelow is the size from which a write is sent by itself, uncopied. It
	// is more than HTTP/2 writes at a time of many small frames: 4 KiB.
	gatherBelow = 8 << 10
	// farewell is how long a connection that is closed may take for what waits.
	farewell = time.Second
)

// gather makes a listener whose connections may be gathered. HTTP/2 flushes the
// header and the body of each answer by themselves, and so each event of each
// watch of a connection: without it, calls of the kernel are a third of what a
// small answer costs.
func gather(ln net.Listener) net.Listener {
	return &gatheringListener{Listener: ln, buffers: sync.Pool{New: func() any { return new([]byte) }}}
}

type gatheringListener struct {
	net.Listener
	buffers sync.Pool // of *[]byte
}

// Accept is part of net.Listener.
func (l *gatheringListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newGatheringConn(conn, &l.buffers), nil
}

// gatherHTTP2 is an http.Server's ConnState. Connections of HTTP/1 stay as they
// are: those that become streams have writes and deadlines of their own.
func gatherHTTP2(conn net.Conn, state http.ConnState) {
	secure, isTLS := conn.(*tls.Conn)
	if !isTLS || state != http.StateActive {
		return
	}
	if c, ok := secure.NetConn().(*gatheringConn); ok && secure.ConnectionState().NegotiatedProtocol == http2.NextProtoTLS {
		c.begin(limits.Stall)
	}
}

// gatheringConn is a connection whose writes, once it has begun, return at once;
// what comes while an earlier one is on its way goes out in one piece. That a
// write failed is told by the next.
type gatheringConn struct {
	net.Conn
	buffers *sync.Pool

	mu      sync.Mutex
	changed sync.Cond     // signals what mu guards
	stall   time.Duration // guarded by mu: how long the client may take nothing; zero: not begun
	waiting *[]byte       // guarded by mu: what is sent next; nil: nothing
	sending bool          // guarded by mu: somebody writes, and takes what waits
	closing bool          // guarded by mu
	err     error         // guarded by mu: why nothing is sent any more
}

func newGatheringConn(conn net.Conn, buffers *sync.Pool) *gatheringConn {
	c := &gatheringConn{Conn: conn, buffers: buffers}
	c.changed.L = &c.mu
	return c
}

// begin gathers the writes to come. From then on the connection fails when the
// client takes nothing for so long; deadlines of writes have no effect.
func (c *gatheringConn) begin(stall time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stall = stall
}

// Write is part of net.Conn.
func (c *gatheringConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stall == 0 {
		c.mu.Unlock()
		defer c.mu.Lock()
		return c.Conn.Write(p)
	}
	for c.err == nil && c.waiting != nil && len(*c.waiting)+len(p) > gatherMost {
		c.changed.Wait()
	}
	if c.err != nil {
		return 0, c.err
	}
	if !c.sending && len(p) >= gatherBelow {
		c.sending = true
		n := c.sendLocked(p)
		c.drainLocked()
		return n, c.err
	}
	if c.waiting == nil {
		c.waiting = c.buffers.Get().(*[]byte)
	}
	*c.waiting = append(*c.waiting, p...)
	if !c.sending {
		c.sending = true
		go c.drain()
	}
	return len(p), nil
}

func (c *gatheringConn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drainLocked()
}

// drainLocked sends what waits until nothing does.
func (c *gatheringConn) drainLocked() {
	for c.waiting != nil && c.err == nil {
		out := c.waiting
		c.waiting = nil
		c.changed.Broadcast()
		c.sendLocked(*out)
		*out = (*out)[:0]
		c.buffers.Put(out)
	}
	c.sending = false
	c.changed.Broadcast()
}

// sendLocked gives the lock away while it writes. A client that takes anything
// in time has as much time again, unless the connection is being closed.
func (c *gatheringConn) sendLocked(p []byte) (sent int) {
	for sent < len(p) && c.err == nil {
		_ = c.Conn.SetWriteDeadline(time.Now().Add(c.stall)) // the write tells
		c.mu.Unlock()
		n, err := c.Conn.Write(p[sent:])
		c.mu.Lock()
		sent += n
		slow := n > 0 && errors.Is(err, os.ErrDeadlineExceeded) && !c.closing
		if err != nil && !slow {
			c.failLocked(err)
		}
	}
	return sent
}

func (c *gatheringConn) failLocked(err error) {
	if c.err == nil {
		c.err = err
	}
	c.changed.Broadcast()
}

// SetWriteDeadline is part of net.Conn.
func (c *gatheringConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stall > 0 {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline is part of net.Conn.
func (c *gatheringConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Close is part of net.Conn. It waits for what is still to be sent, but not
// long.
func (c *gatheringConn) Close() error {
	c.mu.Lock()
	if c.sending && !c.closing {
		c.closing, c.stall = true, farewell
		_ = c.Conn.SetWriteDeadline(time.Now().Add(farewell)) // or it is gone
		for c.sending && c.err == nil {
			c.changed.Wait()
		}
	}
	c.failLocked(net.ErrClosed)
	c.mu.Unlock()
	return c.Conn.Close()
}
