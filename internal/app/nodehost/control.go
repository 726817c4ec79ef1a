package nodehost

import (
	"context"
	"net/http"

	"github.com/knarr-io/knarr/internal/app/local"
	"github.com/knarr-io/knarr/internal/base/unixhttp"
	"github.com/knarr-io/knarr/internal/node"
)

// serveControl answers on the node's socket, which root alone reaches, until
// ctx ends.
func serveControl(ctx context.Context, path string, agent *node.Node) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+local.ShutdownPath, func(w http.ResponseWriter, r *http.Request) {
		if err := agent.Shutdown(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return unixhttp.Serve(ctx, path, mux)
}
