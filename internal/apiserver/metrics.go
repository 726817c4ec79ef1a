package apiserver

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"k8s.io/apimachinery/pkg/version"

	"github.com/knarr-io/knarr/internal/store/cache"
)

// metrics are the server's series, under the names that upstream's have and
// operators' dashboards and alerts ask for.
type metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	slis      *prometheus.HistogramVec
	sizes     *prometheus.HistogramVec
	rejected  *prometheus.CounterVec
	events    *prometheus.CounterVec
	running   *prometheus.GaugeVec
	inFlight  map[string]prometheus.Gauge // by kind of request; not written to

	made sync.Map // labels -> *series
}

// durationBuckets are upstream's, in seconds: rules and dashboards name them.
func durationBuckets() []float64 {
	return []float64{0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60}
}

func newMetrics(reg *prometheus.Registry, c *cache.Cache, v version.Info) *metrics {
	of := []string{"verb", "group", "version", "resource", "subresource", "scope", "component"}
	withDryRun := append(of[:len(of):len(of)], "dry_run")
	inFlight := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "apiserver_current_inflight_requests",
		Help: "Requests that are worked on, by kind."}, []string{"request_kind"})
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "apiserver_request_total",
			Help: "Requests by verb, resource and answer."}, append(withDryRun[:len(withDryRun):len(withDryRun)], "code")),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "apiserver_request_duration_seconds",
			Help: "Time that requests took, in seconds; watches and connections are left out.", Buckets: durationBuckets()}, withDryRun),
		slis: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "apiserver_request_sli_duration_seconds",
			Help: "Time that requests took, in seconds, as service level objectives count it.", Buckets: durationBuckets()}, of),
		sizes: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "apiserver_response_sizes",
			Help: "Bytes of the answers' bodies.", Buckets: prometheus.ExponentialBuckets(1000, 10, 7)}, of),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "apiserver_dropped_requests_total",
			Help: "Requests answered with 429."}, []string{"request_kind"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "apiserver_watch_events_total",
			Help: "Events that watches sent."}, []string{"group", "version", "resource"}),
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "apiserver_longrunning_requests",
			Help: "Watches and connections that are open."}, of),
		inFlight: map[string]prometheus.Gauge{"readOnly": inFlight.WithLabelValues("readOnly"), "mutating": inFlight.WithLabelValues("mutating")},
	}
	reg.MustRegister(m.requests, m.durations, m.slis, m.sizes, inFlight, m.rejected, m.events, m.running, stored{c}, buildInfo(v),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func buildInfo(v version.Info) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "kubernetes_build_info", Help: "One, labelled with the version.",
		ConstLabels: prometheus.Labels{"major": v.Major, "minor": v.Minor, "git_version": v.GitVersion, "git_commit": v.GitCommit,
			"git_tree_state": v.GitTreeState, "build_date": v.BuildDate, "go_version": v.GoVersion, "compiler": v.Compiler, "platform": v.Platform}})
	g.Set(1)
	return g
}

// stored counts stored objects, and tells how far the cache is, when asked.
type stored struct{ cache *cache.Cache }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe is part of prometheus.Collector. It describes nothing: the series
// come and go with the kinds.
func (o stored) Describe(chan<- *prometheus.Desc) {}

// Collect is part of prometheus.Collector.
func (o stored) Collect(ch chan<- prometheus.Metric) {
	byName := describe("apiserver_storage_objects", "Stored objects by resource.", "resource")
	byGroup := describe("apiserver_resource_objects", "Stored objects by group and resource.", "group", "resource")
	seen := describe("apiserver_watch_cache_resource_version", "The revision that reads and watches see.", "group", "resource")
	encoded := describe("apiserver_encoded_objects_bytes", "Bytes of the encodings that are kept to be shared by readers.")
	revision := float64(o.cache.Revision())
	for _, r := range o.cache.Resources() {
		gr, n := r.Kind().GroupResource(), float64(r.Snapshot().Len())
		ch <- prometheus.MustNewConstMetric(byName, prometheus.GaugeValue, n, gr.String())
		ch <- prometheus.MustNewConstMetric(byGroup, prometheus.GaugeValue, n, gr.Group, gr.Resource)
		ch <- prometheus.MustNewConstMetric(seen, prometheus.GaugeValue, revision, gr.Group, gr.Resource)
	}
	ch <- prometheus.MustNewConstMetric(encoded, prometheus.GaugeValue, float64(o.cache.EncodedBytes()))
}
