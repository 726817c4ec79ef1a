package webhook

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// metrics are upstream's, by name and labels.
type metrics struct {
	seconds    *prometheus.HistogramVec
	requests   *prometheus.CounterVec
	rejections *prometheus.CounterVec
	open       *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apiserver_admission_webhook_admission_duration_seconds", Help: "How long webhooks took to answer.",
			Buckets: []float64{0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 25},
		}, []string{"name", "type", "operation", "rejected"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_admission_webhook_request_total", Help: "Calls of webhooks by their outcome.",
		}, []string{"name", "type", "operation", "code", "rejected"}),
		rejections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_admission_webhook_rejection_count", Help: "Writes that a webhook, or the failure to call it, had refused.",
		}, []string{"name", "type", "operation", "error_type", "rejection_code"}),
		open: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_admission_webhook_fail_open_count", Help: "Failed calls of webhooks that were ignored.",
		}, []string{"name", "type"}),
	}
	if r != nil {
		r.MustRegister(m.seconds, m.requests, m.rejections, m.open)
	}
	return m
}

// called counts a call.
func (m *metrics) called(w *hook, k kind, a *admission.Attributes, err error, took time.Duration) {
	refused, errorType, code := outcome(err)
	if errorType == "calling_webhook_error" && w.ignoreFails {
		refused = false
	}
	of, op, status := k.metric(), string(a.Operation), strconv.Itoa(int(code))
	m.seconds.WithLabelValues(w.name, of, op, strconv.FormatBool(refused)).Observe(took.Seconds())
	m.requests.WithLabelValues(w.name, of, op, status, strconv.FormatBool(refused)).Inc()
	if refused {
		m.rejections.WithLabelValues(w.name, of, op, errorType, status).Inc()
	}
}

func (m *metrics) failedOpen(w *hook, k kind) { m.open.WithLabelValues(w.name, k.metric()).Inc() }
