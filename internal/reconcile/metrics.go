package reconcile

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count what all controllers of a process do, under the names that
// upstream's work queues use where there is one. A nil Metrics counts nothing.
type Metrics struct {
	adds      *prometheus.CounterVec
	retries   *prometheus.CounterVec
	depth     *prometheus.GaugeVec
	queued    *prometheus.HistogramVec
	work      *prometheus.HistogramVec
	reconcile *prometheus.CounterVec
}

// NewMetrics registers the series.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	buckets := prometheus.ExponentialBuckets(10e-9, 10, 12)
	m := &Metrics{
		adds:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "workqueue_adds_total", Help: "Keys that were added."}, []string{"name"}),
		retries:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "workqueue_retries_total", Help: "Keys that come again because a run failed."}, []string{"name"}),
		depth:     prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "workqueue_depth", Help: "Keys that wait for a worker."}, []string{"name"}),
		queued:    prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "workqueue_queue_duration_seconds", Help: "How long keys waited for a worker.", Buckets: buckets}, []string{"name"}),
		work:      prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "workqueue_work_duration_seconds", Help: "How long a run took.", Buckets: buckets}, []string{"name"}),
		reconcile: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "knarr_reconcile_total", Help: "Runs by outcome."}, []string{"name", "outcome"}),
	}
	for _, c := range []prometheus.Collector{m.adds, m.retries, m.depth, m.queued, m.work, m.reconcile} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) added(name string, depth int) {
	if m == nil {
		return
	}
	m.adds.WithLabelValues(name).Inc()
	m.depth.WithLabelValues(name).Set(float64(depth))
}

func (m *Metrics) ran(name, outcome string, waited, took time.Duration, depth int) {
	if m == nil {
		return
	}
	m.queued.WithLabelValues(name).Observe(waited.Seconds())
	m.work.WithLabelValues(name).Observe(took.Seconds())
	m.reconcile.WithLabelValues(name, outcome).Inc()
	if outcome == "conflict" || outcome == "error" {
		m.retries.WithLabelValues(name).Inc()
	}
	m.depth.WithLabelValues(name).Set(float64(depth))
}
