package stream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// Server serves streams. The library takes their connections over, and then
// neither it nor the server tells who waits for output that the client has
// gone; so the connections themselves do.
func Server(streams http.Handler) *http.Server {
	return &http.Server{Handler: streams, ReadHeaderTimeout: 10 * time.Second, ConnContext: func(ctx context.Context, c net.Conn) context.Context {
		if c, ok := c.(*watched); ok {
			return context.WithValue(ctx, connectionKey{}, c.life)
		}
		return ctx
	}}
}

type connectionKey struct{}

// connection ends with the connection that a request came by. It is none of the
// request's own context: a command goes on when its client has gone.
func connection(ctx context.Context) context.Context {
	if life, ok := ctx.Value(connectionKey{}).(context.Context); ok {
		return life
	}
	return context.Background()
}

// Watch makes a listener whose connections tell Server when they end.
func Watch(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.Background())
	return &watched{Conn: c, life: life, end: sync.OnceFunc(end)}, nil
}

// watched is a connection that knows when there is nothing more to read.
type watched struct {
	net.Conn
	life context.Context
	end  context.CancelFunc
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		w.end()
	}
	return n, err
}

func (w *watched) Close() error {
	w.end()
	return w.Conn.Close()
}
