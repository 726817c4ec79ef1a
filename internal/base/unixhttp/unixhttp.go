// Package unixhttp serves HTTP on a Unix socket between processes of one
// machine. The file system's rights are the authentication: only the socket's
// owner and root reach it. The package keeps no state.
package unixhttp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"
)

// headerTime bounds how long a caller may take to send a request's header.
const headerTime = 10 * time.Second

// Serve answers on a socket at path until ctx ends, which also ends the
// requests that are under way. A socket that is left there is replaced.
func Serve(ctx context.Context, path string, handler http.Handler) error {
	listener, err := listen(path)
	if err != nil {
		return fmt.Errorf("listen on the socket: %w", err)
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: headerTime, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on the socket %s: %w", path, err)
	}
	return nil
}

func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}
