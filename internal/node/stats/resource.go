package stats

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// ResourceMetrics serves the metrics that the metrics server reads.
func (p *Provider) ResourceMetrics(ctx context.Context) http.Handler {
	return serve(resourceCollector{ctx: ctx, p: p})
}

// serve answers with what one collector has to say. A figure that cannot be
// told, as one of two of the same labels, is left out: the others are right.
func serve(c prometheus.Collector) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(c)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// resourceCollector gathers one short summary.
type resourceCollector struct {
	ctx context.Context
	p   *Provider
}

// Describe sends nothing: the collector is unchecked, as its series depend on
// the pods.
func (resourceCollector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the figures of one look.
func (c resourceCollector) Collect(out chan<- prometheus.Metric) {
	e := newEmitter(out)
	failed := gauge("resource_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise")
	sum, err := c.p.look(c.ctx, true)
	if err != nil {
		e.send(failed, 1, time.Time{})
		return
	}
	e.send(failed, 0, time.Time{})
	node := newScope("node")
	node.send(e, sum.Node.CPU, sum.Node.Memory, sum.Node.Swap)
	pods, containers := newScope("pod", "pod", "namespace"), newScope("container", "container", "pod", "namespace")
	started := gauge("container_start_time_seconds", "Start time of the container since unix epoch in seconds", "container", "pod", "namespace")
	swapLimit := gauge("container_swap_limit_bytes", "Current amount of the container swap limit in bytes. Reported only on non-windows systems", "container", "pod", "namespace")
	for i := range sum.Pods {
		pod := &sum.Pods[i]
		pods.send(e, pod.CPU, pod.Memory, pod.Swap, pod.PodRef.Name, pod.PodRef.Namespace)
		for j := range pod.Containers {
			c := &pod.Containers[j]
			labels := []string{c.Name, pod.PodRef.Name, pod.PodRef.Namespace}
			containers.send(e, c.CPU, c.Memory, c.Swap, labels...)
			if !c.StartTime.IsZero() {
				e.send(started, float64(c.StartTime.UnixNano())/float64(time.Second), time.Time{}, labels...)
			}
			if s := c.Swap; s != nil && s.SwapUsageBytes != nil && s.SwapAvailableBytes != nil {
				e.send(swapLimit, float64(*s.SwapUsageBytes+*s.SwapAvailableBytes), s.Time.Time, labels...)
			}
		}
	}
}

// scope are the families of node, pod or container.
type scope struct{ cpu, memory, swap family }

func newScope(of string, labels ...string) scope {
	return scope{
		cpu:    counter(of+"_cpu_usage_seconds_total", "Cumulative cpu time consumed by the "+of+" in core-seconds", labels...),
		memory: gauge(of+"_memory_working_set_bytes", "Current working set of the "+of+" in bytes", labels...),
		swap:   gauge(of+"_swap_usage_bytes", "Current amount of the "+of+" swap usage in bytes. Reported only on non-windows systems", labels...),
	}
}

func (s scope) send(e *emitter, cpu *statsapi.CPUStats, mem *statsapi.MemoryStats, swap *statsapi.SwapStats, labels ...string) {
	if cpu != nil && cpu.UsageCoreNanoSeconds != nil {
		e.send(s.cpu, float64(*cpu.UsageCoreNanoSeconds)/float64(time.Second), cpu.Time.Time, labels...)
	}
	if mem != nil && mem.WorkingSetBytes != nil {
		e.send(s.memory, float64(*mem.WorkingSetBytes), mem.Time.Time, labels...)
	}
	if swap != nil && swap.SwapUsageBytes != nil {
		e.send(s.swap, float64(*swap.SwapUsageBytes), swap.Time.Time, labels...)
	}
}
