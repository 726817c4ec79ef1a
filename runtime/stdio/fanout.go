package stdio

import (
	"errors"
	"io"
	"sync"

	"github.com/knarr-io/knarr/runtime/logs"
)

// fanoutBuffer is how many pieces an attached client may lag before it is cut off.
const fanoutBuffer = 1024

// Fanout gives a container's output to attached clients. A client that does
// not keep up is cut off: neither the container nor its log waits for it. The
// zero value is ready for use.
type Fanout struct {
	mu      sync.Mutex
	clients map[*Client]struct{}
	closed  bool
}

// Client is one attached client.
type Client struct {
	fan    *Fanout
	pieces chan piece
	slow   bool // it was cut off; set before pieces is closed
}

// errSlow: a client missed output, which says nothing of the container.
var errSlow = errors.New("the client did not keep up with the container's output: it runs on, attach again")

type piece struct {
	stream logs.Stream
	data   []byte
}

func (f *Fanout) tap(stream logs.Stream) func([]byte) {
	return func(data []byte) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for c := range f.clients {
			select {
			case c.pieces <- piece{stream, data}:
			default:
				c.slow = true
				f.removeLocked(c)
			}
		}
	}
}

// Attach adds a client, which gets all output from now on.
func (f *Fanout) Attach() *Client {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := &Client{fan: f, pieces: make(chan piece, fanoutBuffer)}
	if f.closed {
		close(c.pieces)
		return c
	}
	if f.clients == nil {
		f.clients = map[*Client]struct{}{}
	}
	f.clients[c] = struct{}{}
	return c
}

func (f *Fanout) removeLocked(c *Client) {
	if _, ok := f.clients[c]; ok {
		delete(f.clients, c)
		close(c.pieces)
	}
}

// Close ends every client's output after what it has not read yet.
func (f *Fanout) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for c := range f.clients {
		f.removeLocked(c)
	}
}

// Detach removes the client.
func (c *Client) Detach() {
	c.fan.mu.Lock()
	defer c.fan.mu.Unlock()
	c.fan.removeLocked(c)
}

// Copy writes the client's output to out and err until it ends, a write fails,
// or the client has not kept up. A nil writer discards.
func (c *Client) Copy(out, err io.Writer) error {
	for p := range c.pieces {
		w := out
		if p.stream == logs.Stderr {
			w = err
		}
		if w == nil {
			continue
		}
		if _, werr := w.Write(p.data); werr != nil {
			return werr
		}
	}
	if c.slow {
		return errSlow
	}
	return nil
}
