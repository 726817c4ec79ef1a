// Package measure counts what the edge answers: DNS questions and requests for
// Ingresses, under the names that docs/metrics.md lists.
//
// Labels never hold what a client made up: hosts are those that Ingresses
// name, codes and types of a closed list. The package owns its registry.
package measure

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the edge's. They are safe for concurrent use; a nil one counts
// nothing.
type Metrics struct {
	registry *prometheus.Registry

	requests     *prometheus.CounterVec
	durations    *prometheus.HistogramVec
	inFlight     prometheus.Gauge
	unreached    prometheus.Counter
	questions    *prometheus.CounterVec
	answerTime   *prometheus.HistogramVec
	certificates *prometheus.CounterVec
}

// New makes metrics of which none counts yet.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "knarr_ingress_requests_total",
			Help: "Requests that were answered, by the host that an Ingress names (empty: no rule matched), class and status code."}, []string{"host", "class", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "knarr_ingress_request_duration_seconds",
			Help:    "Time from a request's head to the end of its answer, by host.",
			Buckets: []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60}}, []string{"host"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "knarr_ingress_requests_in_flight", Help: "Requests that are being answered."}),
		unreached: prometheus.NewCounter(prometheus.CounterOpts{Name: "knarr_ingress_connect_failures_total",
			Help: "Connections to endpoints that could not be made; another endpoint was tried where there was one."}),
		questions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "knarr_dns_requests_total",
			Help: "DNS questions that were answered, by transport, type and answer code."}, []string{"transport", "type", "code"}),
		answerTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "knarr_dns_request_duration_seconds",
			Help:    "Time to answer a DNS question, by who knew: the cluster's zone, or the resolvers elsewhere with their cache.",
			Buckets: prometheus.ExponentialBuckets(0.000025, 4, 10)}, []string{"from"}),
		certificates: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "knarr_ingress_certificates_total",
			Help: "Certificates that the cluster's authority was asked for, by outcome."}, []string{"outcome"}),
	}
	m.registry.MustRegister(m.requests, m.durations, m.inFlight, m.unreached, m.questions, m.answerTime, m.certificates,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler shows the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Begin counts a request that is being answered; the result ends that.
func (m *Metrics) Begin() (end func()) {
	if m == nil {
		return func() {}
	}
	m.inFlight.Inc()
	return m.inFlight.Dec
}

// Answered counts a request.
func (m *Metrics) Answered(host, class string, code int, took time.Duration) {
	if m == nil {
		return
	}
	text := "other"
	if code >= 100 && code < 600 {
		text = strconv.Itoa(code)
	}
	m.requests.WithLabelValues(host, class, text).Inc()
	m.durations.WithLabelValues(host).Observe(took.Seconds())
}

// Forget drops what was counted for a host that no Ingress names any longer.
func (m *Metrics) Forget(host string) {
	if m == nil {
		return
	}
	m.requests.DeletePartialMatch(prometheus.Labels{"host": host})
	m.durations.DeletePartialMatch(prometheus.Labels{"host": host})
}

// Unreached counts an endpoint that could not be connected to.
func (m *Metrics) Unreached() {
	if m != nil {
		m.unreached.Inc()
	}
}

// Certified counts a certificate that was asked for.
func (m *Metrics) Certified(err error) {
	if m == nil {
		return
	}
	outcome := "issued"
	if err != nil {
		outcome = "refused"
	}
	m.certificates.WithLabelValues(outcome).Inc()
}

// types are those of questions that are told apart.
var types = []string{"A", "AAAA", "ANY", "CNAME", "HTTPS", "MX", "NS", "PTR", "SOA", "SRV", "TXT"}

// Named counts a DNS question; from is "zone" or "elsewhere".
func (m *Metrics) Named(transport, kind, code, from string, took time.Duration) {
	if m == nil {
		return
	}
	if !slices.Contains(types, kind) {
		kind = "other"
	}
	if code == "" {
		code = "other"
	}
	m.questions.WithLabelValues(transport, kind, code).Inc()
	m.answerTime.WithLabelValues(from).Observe(took.Seconds())
}
