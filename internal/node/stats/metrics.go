package stats

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// Metrics serves the node agent's own metrics.
func (p *Provider) Metrics(pods int) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	running := prometheus.NewGauge(prometheus.GaugeOpts{Name: "kubelet_running_pods", Help: "Number of pods that have a worker on this node."})
	name := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kubelet_node_name", Help: "The node's name. The count is always 1."}, []string{"node"})
	running.Set(float64(pods))
	name.WithLabelValues(p.NodeName).Set(1)
	reg.MustRegister(running, name)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

// ResourceMetrics serves the metrics that the metrics server reads.
func (p *Provider) ResourceMetrics(ctx context.Context) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(resourceCollector{ctx: ctx, p: p})
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: false})
}

// resourceCollector gathers one summary.
type resourceCollector struct {
	ctx context.Context
	p   *Provider
}

// Describe sends nothing: the collector is unchecked, as its series depend on
// the pods.
func (resourceCollector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the figures of one summary.
func (c resourceCollector) Collect(out chan<- prometheus.Metric) {
	failed := 0.0
	sum, err := c.p.Summary(c.ctx)
	if err != nil {
		failed = 1
	}
	out <- prometheus.MustNewConstMetric(prometheus.NewDesc("resource_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise", nil, nil), prometheus.GaugeValue, failed)
	if err != nil {
		return
	}
	emit(out, "node", nil, sum.Node.CPU, sum.Node.Memory, nil)
	for i := range sum.Pods {
		pod := &sum.Pods[i]
		labels := prometheus.Labels{"namespace": pod.PodRef.Namespace, "pod": pod.PodRef.Name}
		emit(out, "pod", labels, pod.CPU, pod.Memory, nil)
		for j := range pod.Containers {
			c := &pod.Containers[j]
			emit(out, "container", prometheus.Labels{"namespace": pod.PodRef.Namespace, "pod": pod.PodRef.Name, "container": c.Name}, c.CPU, c.Memory, &c.StartTime.Time)
		}
	}
}

func emit(out chan<- prometheus.Metric, scope string, labels prometheus.Labels, cpu *statsapi.CPUStats, mem *statsapi.MemoryStats, started *time.Time) {
	if cpu != nil && cpu.UsageCoreNanoSeconds != nil {
		d := prometheus.NewDesc(scope+"_cpu_usage_seconds_total", "Cumulative cpu time consumed by the "+scope+" in core-seconds", nil, labels)
		out <- prometheus.NewMetricWithTimestamp(cpu.Time.Time, prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(*cpu.UsageCoreNanoSeconds)/float64(time.Second)))
	}
	if mem != nil && mem.WorkingSetBytes != nil {
		d := prometheus.NewDesc(scope+"_memory_working_set_bytes", "Current working set of the "+scope+" in bytes", nil, labels)
		out <- prometheus.NewMetricWithTimestamp(mem.Time.Time, prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(*mem.WorkingSetBytes)))
	}
	if started != nil && !started.IsZero() {
		d := prometheus.NewDesc(scope+"_start_time_seconds", "Start time of the "+scope+" since unix epoch in seconds", nil, labels)
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(started.UnixNano())/float64(time.Second))
	}
}
