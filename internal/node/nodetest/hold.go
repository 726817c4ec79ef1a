package nodetest

import (
	"context"
	"path"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// gate keeps calls of one method waiting.
type gate struct {
	waiting int
	open    chan struct{}
}

// Hold makes calls of a method wait until release is called, once; waiting
// counts those that do.
func (r *Runtime) Hold(method string) (waiting func() int, release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := &gate{open: make(chan struct{})}
	r.mu.held[method] = g
	return func() int {
			r.mu.Lock()
			defer r.mu.Unlock()
			return g.waiting
		}, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.mu.held, method)
			close(g.open)
		}
}

// wait is what every call does first.
func (r *Runtime) wait(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	r.mu.Lock()
	g := r.mu.held[path.Base(info.FullMethod)]
	if g != nil {
		g.waiting++
	}
	r.mu.Unlock()
	if g != nil {
		select {
		case <-g.open:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
	return handler(ctx, req)
}
