package edge

import (
	"context"
	"net/http"

	"github.com/knarr-io/knarr/internal/base/unixhttp"
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
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler())
	mux.HandleFunc("GET /left", func(w http.ResponseWriter, r *http.Request) {
		if m.WaitLeft(r.Context(), r.FormValue("address")) == nil {
			w.WriteHeader(http.StatusNoContent)
		}
	})
	return unixhttp.Serve(ctx, path, mux)
}
