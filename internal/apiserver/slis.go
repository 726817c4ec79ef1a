package apiserver

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// slis are the results of health checks, as /metrics/slis tells them (KEP-3466).
type slis struct {
	registry *prometheus.Registry
	healthy  *prometheus.GaugeVec
	results  *prometheus.CounterVec
}

func newSLIs() *slis {
	s := &slis{
		registry: prometheus.NewRegistry(),
		healthy: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kubernetes_healthcheck",
			Help: "This metric records the result of a single healthcheck."}, []string{"name", "type"}),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kubernetes_healthchecks_total",
			Help: "This metric records the results of all healthcheck."}, []string{"name", "type", "status"}),
	}
	s.registry.MustRegister(s.healthy, s.results)
	return s
}

// observe takes in a check's result; kind is the path that asked for it.
func (s *slis) observe(name, kind string, err error) {
	status, value := "success", 1.0
	if err != nil {
		status, value = "error", 0
	}
	s.healthy.WithLabelValues(name, kind).Set(value)
	s.results.WithLabelValues(name, kind, status).Inc()
}

func (s *slis) handler() http.Handler { return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}) }
