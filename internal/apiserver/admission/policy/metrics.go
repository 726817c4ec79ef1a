package policy

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are upstream's, by name and labels.
type metrics struct {
	checks, mutations             *prometheus.CounterVec
	checkSeconds, mutationSeconds *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	buckets := []float64{0.0000005, 0.001, 0.01, 0.1, 1.0}
	checked := []string{"policy", "policy_binding", "error_type", "enforcement_action"}
	mutated := checked[:3]
	m := &metrics{
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_validating_admission_policy_check_total", Help: "Checks of validating policies by what was done about them.",
		}, checked),
		checkSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apiserver_validating_admission_policy_check_duration_seconds", Help: "How long checks of validating policies took.", Buckets: buckets,
		}, checked),
		mutations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_mutating_admission_policy_check_total", Help: "Mutations by policies.",
		}, mutated),
		mutationSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apiserver_mutating_admission_policy_check_duration_seconds", Help: "How long mutations by policies took.", Buckets: buckets,
		}, mutated),
	}
	if r != nil {
		r.MustRegister(m.checks, m.checkSeconds, m.mutations, m.mutationSeconds)
	}
	return m
}

func (m *metrics) validated(policy, binding string, d *decision, action string, took time.Duration) {
	of := "no_error"
	if d.failed {
		of = errorType(d.message)
	} else if d.denied {
		of = "invalid_error"
	}
	m.checks.WithLabelValues(policy, binding, of, action).Inc()
	m.checkSeconds.WithLabelValues(policy, binding, of, action).Observe(took.Seconds())
}

func (m *metrics) mutated(policy, binding string, err error, took time.Duration) {
	of := "no_error"
	if err != nil {
		of = errorType(err.Error())
	}
	m.mutations.WithLabelValues(policy, binding, of).Inc()
	m.mutationSeconds.WithLabelValues(policy, binding, of).Observe(took.Seconds())
}

// errorType sorts failures by their messages, as upstream does.
func errorType(message string) string {
	switch {
	case strings.HasPrefix(message, "compilation"):
		return "compile_error"
	case strings.HasPrefix(message, "validation failed due to running out of cost budget"):
		return "out_of_budget"
	}
	return "invalid_error"
}
