package kubeletapi

import (
	"net/http"
	"strings"
)

// counted measures every request under the name of its path.
func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, long := bucket(r.URL.Path)
		defer s.cfg.Metrics.Request(methodBucket(r.Method), path, long)()
		next.ServeHTTP(w, r)
	})
}

// bucket names a path by its first part, two for metrics. What nobody serves
// is one bucket: a stranger must not make series.
func bucket(path string) (name string, longRunning bool) {
	path = strings.TrimPrefix(path, "/")
	switch path {
	case "metrics/cadvisor", "metrics/resource", "metrics/probes":
		return path, false
	}
	top, _, _ := strings.Cut(path, "/")
	switch top {
	case "exec", "attach", "portForward", "debug":
		return top, top != "portForward" // upstream looks for it in another spelling
	case "healthz", "configz", "pods", "runningpods", "logs", "containerLogs", "run", "stats", "metrics":
		return top, false
	}
	return "other", false
}

func methodBucket(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch, http.MethodTrace, http.MethodConnect:
		return method
	}
	return "other"
}
