package apiserver

import (
	"net/http"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// measure counts requests.
func (s *Server) measure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r)
		kind := "readOnly"
		if mutates(c.info.Verb) {
			kind = "mutating"
		}
		if !c.longRunning() {
			gauge := s.metrics.inFlight[kind]
			gauge.Inc()
			defer gauge.Dec()
		}
		seen := &seenWriter{ResponseWriter: w}
		c.seen = seen
		next.ServeHTTP(seen, r)
		s.observe(r, c, seen, kind)
	})
}

func (s *Server) observe(r *http.Request, c *call, seen *seenWriter, kind string) {
	if seen.status == http.StatusTooManyRequests {
		s.metrics.rejected.WithLabelValues(kind).Inc()
	}
	of := s.metrics.of(labelsOf(r, c))
	of.answered(seen.code()).Inc()
	if c.longRunning() {
		return
	}
	took := time.Since(c.started).Seconds()
	of.duration.Observe(took)
	of.sli.Observe(took)
	of.size.Observe(float64(seen.bytes))
}

// labelsOf are the labels of a request's series. Names that a stranger made up
// must not become series.
func labelsOf(r *http.Request, c *call) labels {
	i := c.info
	out := labels{verb: metricVerb(r, c), dryRun: dryRun(r), scope: scope(c)}
	if c.kind != nil {
		out.group, out.version, out.resource = i.Group, i.Version, i.Plural
		if i.Subresource != "" && len(methods(c, c.kind)) > 0 {
			out.subresource = i.Subresource
		}
	}
	return out
}

// metricVerb is a request's verb as upstream's series call it.
func metricVerb(r *http.Request, c *call) string {
	if c.longRunning() && c.info.Verb != "watch" {
		return "CONNECT"
	}
	switch c.info.Verb {
	case "get":
		return "GET"
	case "list":
		return "LIST"
	case "watch":
		return "WATCH"
	case "create":
		return "POST"
	case "update":
		return "PUT"
	case "patch":
		if strings.HasPrefix(r.Header.Get("Content-Type"), string(types.ApplyYAMLPatchType)) {
			return "APPLY"
		}
		return "PATCH"
	case "delete":
		return "DELETE"
	case "deletecollection":
		return "DELETECOLLECTION"
	}
	return "other"
}

func dryRun(r *http.Request) string {
	if r.URL.RawQuery != "" && r.URL.Query().Get("dryRun") == "All" {
		return "All"
	}
	return ""
}

func scope(c *call) string {
	switch {
	case !c.info.Resource:
		return ""
	case c.info.Name != "":
		return "resource"
	case c.info.Namespace != "":
		return "namespace"
	}
	return "cluster"
}

// seenWriter remembers what was answered.
type seenWriter struct {
	http.ResponseWriter
	status int
	bytes  int
	// onHeader is told the status when the answer begins; may be nil.
	onHeader func(status int)
}

func (w *seenWriter) begins(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if w.onHeader != nil {
		w.onHeader(status)
	}
}

// Unwrap lets http.ResponseController find the real writer.
func (w *seenWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader is part of http.ResponseWriter.
func (w *seenWriter) WriteHeader(status int) {
	w.begins(status)
	w.ResponseWriter.WriteHeader(status)
}

// Write is part of http.ResponseWriter.
func (w *seenWriter) Write(b []byte) (int, error) {
	w.begins(http.StatusOK)
	n, err := w.ResponseWriter.Write(b)
	w.bytes += n
	return n, err
}

func (w *seenWriter) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}
