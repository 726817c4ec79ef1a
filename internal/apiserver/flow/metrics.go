package flow

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the controller's series, under upstream's names.
type metrics struct {
	refusals *prometheus.CounterVec
	served   *prometheus.CounterVec
	waits    *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	of := []string{"priority_level", "flow_schema"}
	m := &metrics{
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "apiserver_flowcontrol_rejected_requests_total",
			Help: "Requests that were refused by priority and fairness."}, append(of[:2:2], "reason")),
		served: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "apiserver_flowcontrol_dispatched_requests_total",
			Help: "Requests that were let in by priority and fairness."}, of),
		waits: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "apiserver_flowcontrol_request_wait_duration_seconds",
			Help: "Time that requests waited for seats, in seconds.", Buckets: []float64{0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30}},
			append(of[:2:2], "execute")),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.refusals, m.served, m.waits} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("metrics of priority and fairness: %w", err)
		}
	}
	return m, nil
}

// series are those of one schema and level, looked up once.
type series struct {
	served prometheus.Counter
	waits  prometheus.Observer
}

func (m *metrics) of(schema, level string) series {
	return series{served: m.served.WithLabelValues(level, schema), waits: m.waits.WithLabelValues(level, schema, "true")}
}

func (s series) dispatched(waited time.Duration) {
	s.served.Inc()
	s.waits.Observe(waited.Seconds())
}

func (m *metrics) rejected(c Class, reason string) {
	m.refusals.WithLabelValues(c.Level, c.Schema, reason).Inc()
}
