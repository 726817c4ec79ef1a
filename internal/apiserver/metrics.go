package apiserver

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/knarr-io/knarr/internal/store/cache"
)

// metrics are the server's series, under the names that upstream's have.
type metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	sizes     *prometheus.HistogramVec
	inFlight  *prometheus.GaugeVec
	rejected  *prometheus.CounterVec
	watches   *prometheus.GaugeVec
}

func newMetrics(reg *prometheus.Registry, c *cache.Cache) *metrics {
	of := []string{"verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component"}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "apiserver_request_total",
			Help: "Requests by verb, resource and answer."}, append(of[:len(of):len(of)], "code")),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "apiserver_request_duration_seconds",
			Help:    "Time that requests took, in seconds; watches are left out.",
			Buckets: []float64{0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 8, 15, 30, 60}}, of),
		sizes: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "apiserver_response_sizes",
			Help: "Bytes of the answers' bodies.", Buckets: prometheus.ExponentialBuckets(1000, 10, 7)},
			[]string{"verb", "group", "version", "resource", "subresource", "scope", "component"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "apiserver_current_inflight_requests",
			Help: "Requests that are worked on, by kind."}, []string{"request_kind"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "apiserver_dropped_requests_total",
			Help: "Requests answered with 429."}, []string{"request_kind"}),
		watches: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "apiserver_longrunning_requests",
			Help: "Watches that are running."}, []string{"group", "version", "resource"}),
	}
	reg.MustRegister(m.requests, m.durations, m.sizes, m.inFlight, m.rejected, m.watches, objects{c},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// objects counts stored objects when it is asked.
type objects struct{ cache *cache.Cache }

var objectsDesc = prometheus.NewDesc("apiserver_storage_objects", "Stored objects by resource.", []string{"resource"}, nil)

// Describe is part of prometheus.Collector.
func (o objects) Describe(ch chan<- *prometheus.Desc) { ch <- objectsDesc }

// Collect is part of prometheus.Collector.
func (o objects) Collect(ch chan<- prometheus.Metric) {
	for _, r := range o.cache.Resources() {
		ch <- prometheus.MustNewConstMetric(objectsDesc, prometheus.GaugeValue, float64(r.Snapshot().Len()), r.Kind().GroupResource().String())
	}
}

// measure counts requests.
func (s *Server) measure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r)
		kind := "readOnly"
		if mutates(c.info.Verb) {
			kind = "mutating"
		}
		if !c.longRunning() {
			gauge := s.metrics.inFlight.WithLabelValues(kind)
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
	took := time.Since(c.started)
	if seen.status == http.StatusTooManyRequests {
		s.metrics.rejected.WithLabelValues(kind).Inc()
	}
	i := c.info
	// Names that a stranger made up must not become series.
	group, version, resource, sub := "", "", "", ""
	if c.kind != nil {
		group, version, resource = i.Group, i.Version, i.Plural
		if len(methods(c, c.kind)) > 0 {
			sub = i.Subresource
		}
	}
	name := metricVerb(i.Verb)
	labels := []string{name, dryRun(r), group, version, resource, sub, scope(c), "apiserver"}
	s.metrics.requests.WithLabelValues(append(labels, strconv.Itoa(seen.code()))...).Inc()
	if !c.longRunning() {
		s.metrics.durations.WithLabelValues(labels...).Observe(took.Seconds())
		s.metrics.sizes.WithLabelValues(name, group, version, resource, sub, scope(c), "apiserver").Observe(float64(seen.bytes))
	}
}

func metricVerb(v string) string {
	switch v {
	case "get", "list", "watch", "delete", "patch":
		return map[string]string{"get": "GET", "list": "LIST", "watch": "WATCH", "delete": "DELETE", "patch": "PATCH"}[v]
	case "create":
		return "POST"
	case "update":
		return "PUT"
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
