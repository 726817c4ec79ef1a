package server

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
)

// storeMetrics are the series of the storage engine, under the names by which
// dashboards ask for upstream's: whichever engine it is, it stands in etcd's
// place. Reads are answered from memory, so that only writes are counted.
type storeMetrics struct {
	requests, failures *prometheus.CounterVec
	durations          *prometheus.HistogramVec
}

func newStoreMetrics(reg *prometheus.Registry, dir string) *storeMetrics {
	labels := []string{"operation", "group", "resource"}
	m := &storeMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "etcd_requests_total", Help: "Writes to the store by operation and resource."}, labels),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "etcd_request_errors_total", Help: "Writes to the store that failed, lost races left out."}, labels),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "etcd_request_duration_seconds", Help: "Time that writes to the store took, in seconds.",
			Buckets: []float64{0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60}}, labels),
	}
	reg.MustRegister(m.requests, m.failures, m.durations)
	if dir != "" {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "apiserver_storage_size_bytes", Help: "Bytes that the store's files take on disk.",
			ConstLabels: prometheus.Labels{"storage_cluster_id": "knarr"}}, func() float64 { return sizeOf(dir) }))
	}
	return m
}

// observe takes in one write.
func (m *storeMetrics) observe(k *api.Kind, operation string, took time.Duration, err error) {
	gr := k.GroupResource()
	m.requests.WithLabelValues(operation, gr.Group, gr.Resource).Inc()
	m.durations.WithLabelValues(operation, gr.Group, gr.Resource).Observe(took.Seconds())
	if err != nil && !errors.Is(err, store.ErrConflict) {
		m.failures.WithLabelValues(operation, gr.Group, gr.Resource).Inc()
	}
}

// sizeOf adds up the files of a folder and of those in it, in bytes; what goes
// away meanwhile is not counted.
func sizeOf(dir string) float64 {
	var total float64
	for _, pattern := range []string{"*", "*/*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			continue
		}
		for _, name := range files {
			if info, err := os.Lstat(name); err == nil && info.Mode().IsRegular() {
				total += float64(info.Size())
			}
		}
	}
	return total
}

// storeMetrics registers the store's series; one that is kept in memory has no
// size on disk.
func (p *process) storeMetrics(dir string) *storeMetrics {
	if p.Memory {
		dir = ""
	}
	return newStoreMetrics(p.registry, dir)
}
