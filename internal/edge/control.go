package edge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/knarr-io/knarr/internal/edge/measure"
	"github.com/knarr-io/knarr/internal/edge/mirror"
)

// ControlSocket is the name of the socket in the edge's folder on which it
// answers the node's agent over HTTP:
//
//	GET /metrics               what was answered so far (docs/metrics.md)
//	GET /left?address=A        204 once no Service gives new requests to A
const ControlSocket = "edge.sock"

// serveControl answers on the socket until ctx ends. Only the edge's own user
// and root reach it.
func serveControl(ctx context.Context, path string, m *mirror.Mirror, metrics *measure.Metrics) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the edge's socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("the edge's socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return fmt.Errorf("the edge's socket: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler())
	mux.HandleFunc("GET /left", func(w http.ResponseWriter, r *http.Request) {
		if m.WaitLeft(r.Context(), r.FormValue("address")) == nil {
			w.WriteHeader(http.StatusNoContent)
		}
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the edge's socket: %w", err)
	}
	return nil
}
