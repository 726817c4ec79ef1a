package scheduler

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/knarr-io/knarr/internal/scheduler/queue"
)

// Metrics are the scheduler's series, under upstream's names. A nil Metrics
// counts nothing.
type Metrics struct {
	attempts *prometheus.HistogramVec
	tries    *prometheus.CounterVec
	waiting  *prometheus.GaugeVec
	total    prometheus.Histogram
	victims  prometheus.Histogram
}

// NewMetrics registers the series.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		attempts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "scheduler_scheduling_attempt_duration_seconds", Help: "How long choosing a node took.",
			Buckets: prometheus.ExponentialBuckets(0.00005, 2, 16),
		}, []string{"profile", "result"}),
		tries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "scheduler_schedule_attempts_total", Help: "Attempts to choose a node, by result.",
		}, []string{"profile", "result"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "scheduler_pending_pods", Help: "Pods that wait for a node.",
		}, []string{"queue"}),
		total: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "scheduler_pod_scheduling_sli_duration_seconds", Help: "From a pod's first sight to its binding.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 20),
		}),
	}
	m.victims = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "scheduler_preemption_victims", Help: "Pods displaced by one preemption.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 7),
	})
	for _, c := range []prometheus.Collector{m.attempts, m.tries, m.waiting, m.total, m.victims} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) attempted(profile string, failure *fitError, took time.Duration) {
	if m == nil {
		return
	}
	result := "scheduled"
	switch {
	case failure != nil && failure.failed != "":
		result = "error"
	case failure != nil:
		result = "unschedulable"
	}
	m.tries.WithLabelValues(profile, result).Inc()
	m.attempts.WithLabelValues(profile, result).Observe(took.Seconds())
}

func (m *Metrics) scheduled(e *queue.Entry) {
	if m != nil {
		m.total.Observe(time.Since(e.Added).Seconds())
	}
}

func (m *Metrics) pending(q *queue.Queue) {
	if m == nil {
		return
	}
	active, backoff, parked, gated := q.Lengths()
	m.waiting.WithLabelValues("active").Set(float64(active))
	m.waiting.WithLabelValues("backoff").Set(float64(backoff))
	m.waiting.WithLabelValues("unschedulable").Set(float64(parked))
	m.waiting.WithLabelValues("gated").Set(float64(gated))
}

func (m *Metrics) preempted(victims int) {
	if m != nil {
		m.victims.Observe(float64(victims))
	}
}
