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

// log tells of a request that is over. Queries are left out: they may hold
// secrets.
func (l *logged) log(logger *slog.Logger, level slog.Level, r *http.Request, t Target, took time.Duration) {
	logger.Log(r.Context(), level, "request", "client", r.RemoteAddr, "method", r.Method, "host", r.Host, "path", r.URL.Path, "protocol", r.Proto,
		"tls", r.TLS != nil, "service", t.Service, "status", l.status, "bytes", l.bytes, "milliseconds", took.Milliseconds())
}
