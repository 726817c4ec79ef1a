package ingress

import (
	"log/slog"
	"net/http"
	"time"
)

// logged is a ResponseWriter that remembers what was answered.
type logged struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Unwrap lets http.ResponseController reach what the writer can do besides.
func (l *logged) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (l *logged) WriteHeader(status int) {
	if l.status == 0 && status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		l.status = status
	}
	l.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (l *logged) Write(b []byte) (int, error) {
	if l.status == 0 {
		l.status = http.StatusOK
	}
	n, err := l.ResponseWriter.Write(b)
	l.bytes += int64(n)
	return n, err
}

// withAccessLog logs every request at debug level. Queries are left out: they
// may hold secrets.
func withAccessLog(next http.Handler, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !logger.Enabled(r.Context(), slog.LevelDebug) {
			next.ServeHTTP(w, r)
			return
		}
		l, begun := &logged{ResponseWriter: w}, time.Now()
		defer func() {
			logger.Debug("request", "client", r.RemoteAddr, "method", r.Method, "host", r.Host, "path", r.URL.Path, "protocol", r.Proto,
				"tls", r.TLS != nil, "status", l.status, "bytes", l.bytes, "milliseconds", time.Since(begun).Milliseconds())
		}()
		next.ServeHTTP(l, r)
	})
}
