// Package measure holds the node agent's own series, under the names, labels
// and buckets that upstream's kubelet gives them: what it asked of the runtime,
// how long pods took to start, what probes found.
//
// The parts of the agent tell a Metrics what happened; it owns the registries
// and nothing else. A nil *Metrics takes everything and keeps nothing, so that
// parts work without one.
package measure

import (
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics counts what the agent does. Safe for concurrent use.
type Metrics struct {
	own, probes *prometheus.Registry

	operations, operationErrors *prometheus.CounterVec
	operationTime               *prometheus.HistogramVec
	podsStarted                 prometheus.Counter
	podsFailed                  *prometheus.CounterVec
	sandboxTime                 *prometheus.HistogramVec
	sandboxErrors               *prometheus.CounterVec
	containersStarted           *prometheus.CounterVec
	containersFailed            *prometheus.CounterVec
	podStart, podStartTotal     prometheus.Histogram
	podStartSLI                 prometheus.Histogram
	evictions                   *prometheus.CounterVec
	evictionAge                 *prometheus.HistogramVec
	pulls                       *prometheus.HistogramVec
	rejected                    *prometheus.CounterVec
	requests                    *prometheus.CounterVec
	requestTime                 *prometheus.HistogramVec
	inFlight                    *prometheus.GaugeVec
	probed                      *prometheus.CounterVec
	probeTime                   *prometheus.HistogramVec
}

// startBuckets and pullBuckets are upstream's, in seconds.
func startBuckets() []float64 {
	return []float64{0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600}
}

func pullBuckets() []float64 {
	return []float64{1, 5, 10, 20, 30, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600}
}

// New makes the series of a node; version is what the node tells of itself.
func New(node, version string) *Metrics {
	m := &Metrics{
		own: prometheus.NewRegistry(), probes: prometheus.NewRegistry(),
		operations:        counters("runtime_operations_total", "Cumulative number of runtime operations by operation type.", "operation_type"),
		operationErrors:   counters("runtime_operations_errors_total", "Cumulative number of runtime operation errors by operation type.", "operation_type"),
		operationTime:     histograms("runtime_operations_duration_seconds", "Duration in seconds of runtime operations. Broken down by operation type.", prometheus.ExponentialBuckets(.005, 2.5, 14), "operation_type"),
		podsStarted:       prometheus.NewCounter(prometheus.CounterOpts{Name: "kubelet_started_pods_total", Help: "Cumulative number of pods started"}),
		podsFailed:        counters("started_pods_errors_total", "Cumulative number of errors when starting pods", "message"),
		sandboxTime:       histograms("run_podsandbox_duration_seconds", "Duration in seconds of the run_podsandbox operations. Broken down by RuntimeClass.Handler.", prometheus.DefBuckets, "runtime_handler"),
		sandboxErrors:     counters("run_podsandbox_errors_total", "Cumulative number of the run_podsandbox operation errors by RuntimeClass.Handler.", "runtime_handler"),
		containersStarted: counters("started_containers_total", "Cumulative number of containers started", "container_type"),
		containersFailed:  counters("started_containers_errors_total", "Cumulative number of errors when starting containers", "container_type", "code"),
		podStart:          histogram("pod_start_duration_seconds", "Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run", startBuckets()),
		podStartTotal:     histogram("pod_start_total_duration_seconds", "Duration in seconds to start a pod since creation, including time to pull images and run init containers", startBuckets()),
		podStartSLI:       histogram("pod_start_sli_duration_seconds", "Duration in seconds to start a pod, excluding time to pull images and run init containers, measured from pod creation timestamp to when all its containers are reported as started and observed via watch", startBuckets()),
		evictions:         counters("evictions", "Cumulative number of pod evictions by eviction signal", "eviction_signal"),
		evictionAge:       histograms("eviction_stats_age_seconds", "Time between when stats are collected, and when pod is evicted based on those stats by eviction signal", prometheus.DefBuckets, "eviction_signal"),
		pulls:             histograms("image_pull_duration_seconds", "Duration in seconds to pull an image.", pullBuckets(), "image_size_in_bytes"),
		rejected:          counters("admission_rejections_total", "Cumulative number pod admission rejections by the Kubelet.", "reason"),
		requests:          counters("http_requests_total", "Number of the http requests received since the server started", "method", "path", "server_type", "long_running"),
		requestTime:       histograms("http_requests_duration_seconds", "Duration in seconds to serve http requests", prometheus.DefBuckets, "method", "path", "server_type", "long_running"),
		inFlight:          gauges("http_inflight_requests", "Number of the inflight http requests", "method", "path", "server_type", "long_running"),
	}
	m.probed = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "prober_probe_total",
		Help: "Cumulative number of a liveness, readiness or startup probe for a container by result."}, []string{"probe_type", "result", "container", "pod", "namespace", "pod_uid"})
	m.probeTime = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "prober_probe_duration_seconds",
		Help: "Duration in seconds for a probe response."}, []string{"probe_type", "container", "pod", "namespace"})
	m.own.MustRegister(m.operations, m.operationErrors, m.operationTime, m.podsStarted, m.podsFailed, m.sandboxTime, m.sandboxErrors,
		m.containersStarted, m.containersFailed, m.podStart, m.podStartTotal, m.podStartSLI, m.evictions, m.evictionAge, m.pulls, m.rejected, m.requests, m.requestTime, m.inFlight,
		constant("kubelet_node_name", "The node's name. The count is always 1.", 1, prometheus.Labels{"node": node}),
		constant("kubelet_cgroup_version", "cgroup version on the hosts.", cgroupVersion(), nil),
		constant("kubernetes_build_info", "One, labelled with the version.", 1, prometheus.Labels{"git_version": version, "go_version": runtime.Version(),
			"compiler": runtime.Compiler, "platform": runtime.GOOS + "/" + runtime.GOARCH}),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	m.probes.MustRegister(m.probed, m.probeTime)
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kubelet_" + name, Help: help}, labels)
}

func gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kubelet_" + name, Help: help}, labels)
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "kubelet_" + name, Help: help, Buckets: buckets}, labels)
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "kubelet_" + name, Help: help, Buckets: buckets})
}

func constant(name, help string, v float64, labels prometheus.Labels) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels})
	g.Set(v)
	return g
}

func cgroupVersion() float64 {
	if cgroups.IsCgroup2UnifiedMode() {
		return 2
	}
	return 1
}

// Register adds a collector to the agent's own series, once.
func (m *Metrics) Register(c prometheus.Collector) error { return m.own.Register(c) }

// Own serves the agent's series.
func (m *Metrics) Own() http.Handler { return promhttp.HandlerFor(m.own, promhttp.HandlerOpts{}) }

// Probes serves those of probes.
func (m *Metrics) Probes() http.Handler {
	return promhttp.HandlerFor(m.probes, promhttp.HandlerOpts{})
}

// Request counts one request to the agent's API from its begin to its end, and
// returns what is to be called at the end.
func (m *Metrics) Request(method, path string, longRunning bool) (done func()) {
	if m == nil {
		return func() {}
	}
	labels := []string{method, path, "readwrite", strconv.FormatBool(longRunning)}
	began := time.Now()
	m.requests.WithLabelValues(labels...).Inc()
	running := m.inFlight.WithLabelValues(labels...)
	running.Inc()
	return func() {
		running.Dec()
		m.requestTime.WithLabelValues(labels...).Observe(time.Since(began).Seconds())
	}
}
