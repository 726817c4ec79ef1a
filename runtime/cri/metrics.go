package cri

import (
	"context"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/container"
)

// family is a metric as cAdvisor named it, which KEP-2371 takes over. CRI
// carries whole numbers only. of is nil where there is nothing to tell.
type family struct {
	name, help string
	counter    bool
	of         func(*measured) *cri.UInt64Value
}

// measured is what a pod or a container used, in CRI's own stats.
type measured struct {
	cpu     *cri.CpuUsage
	memory  *cri.MemoryUsage
	swap    *cri.SwapUsage
	layer   *cri.FilesystemUsage
	process *cri.ProcessUsage
	network *cri.NetworkInterfaceUsage
	started time.Time
}

const nanosPerSecond = uint64(time.Second)

// families are all that is offered, in a fixed order.
func families() []family {
	return []family{
		{"container_cpu_usage_seconds_total", "CPU time consumed, in seconds.", true, func(m *measured) *cri.UInt64Value {
			return divided(m.cpu.GetUsageCoreNanoSeconds(), nanosPerSecond)
		}},
		{"container_memory_usage_bytes", "Memory in use, with all caches.", false, func(m *measured) *cri.UInt64Value { return m.memory.GetUsageBytes() }},
		{"container_memory_working_set_bytes", "Memory that cannot be given back.", false, func(m *measured) *cri.UInt64Value { return m.memory.GetWorkingSetBytes() }},
		{"container_memory_rss", "Anonymous memory.", false, func(m *measured) *cri.UInt64Value { return m.memory.GetRssBytes() }},
		{"container_memory_swap", "Swap in use.", false, func(m *measured) *cri.UInt64Value { return m.swap.GetSwapUsageBytes() }},
		{"container_memory_failures_total", "Page faults that the disk had to serve.", true, func(m *measured) *cri.UInt64Value { return m.memory.GetMajorPageFaults() }},
		{"container_fs_usage_bytes", "What was written to the root file system.", false, func(m *measured) *cri.UInt64Value { return m.layer.GetUsedBytes() }},
		{"container_fs_inodes_total", "Files of the root file system that were written.", false, func(m *measured) *cri.UInt64Value { return m.layer.GetInodesUsed() }},
		{"container_processes", "Processes that run.", false, func(m *measured) *cri.UInt64Value { return m.process.GetProcessCount() }},
		{"container_network_receive_bytes_total", "Bytes received.", true, func(m *measured) *cri.UInt64Value { return m.network.GetRxBytes() }},
		{"container_network_receive_errors_total", "Errors while receiving.", true, func(m *measured) *cri.UInt64Value { return m.network.GetRxErrors() }},
		{"container_network_transmit_bytes_total", "Bytes sent.", true, func(m *measured) *cri.UInt64Value { return m.network.GetTxBytes() }},
		{"container_network_transmit_errors_total", "Errors while sending.", true, func(m *measured) *cri.UInt64Value { return m.network.GetTxErrors() }},
		{"container_start_time_seconds", "When it started, in seconds since 1970.", false, func(m *measured) *cri.UInt64Value {
			if m.started.IsZero() {
				return nil
			}
			return value(uint64(m.started.Unix()))
		}},
	}
}

func divided(v *cri.UInt64Value, by uint64) *cri.UInt64Value {
	if v == nil {
		return nil
	}
	return value(v.GetValue() / by)
}

// labelKeys are those of every metric; labels fills them in the same order.
func labelKeys() []string { return []string{"id", "name", "image", "pod", "namespace"} }

// metrics are the families of which m tells something.
func metrics(m *measured, labels []string) []*cri.Metric {
	var out []*cri.Metric
	for _, f := range families() {
		v := f.of(m)
		if v == nil {
			continue
		}
		kind := cri.MetricType_GAUGE
		if f.counter {
			kind = cri.MetricType_COUNTER
		}
		out = append(out, &cri.Metric{Name: f.name, MetricType: kind, LabelValues: labels, Value: v})
	}
	return out
}

// ListMetricDescriptors lists the metrics of pods and containers.
func (s *Service) ListMetricDescriptors(context.Context, *cri.ListMetricDescriptorsRequest) (*cri.ListMetricDescriptorsResponse, error) {
	out := &cri.ListMetricDescriptorsResponse{}
	for _, f := range families() {
		out.Descriptors = append(out.Descriptors, &cri.MetricDescriptor{Name: f.name, Help: f.help, LabelKeys: labelKeys()})
	}
	return out, nil
}

func (s *Service) listSandboxMetrics() []*cri.PodSandboxMetrics {
	var out []*cri.PodSandboxMetrics
	for _, p := range s.listSandboxStats(nil) {
		linux, of := p.GetLinux(), p.GetAttributes().GetMetadata()
		pod := &measured{cpu: linux.GetCpu(), memory: linux.GetMemory(), process: linux.GetProcess(), network: linux.GetNetwork().GetDefaultInterface()}
		m := &cri.PodSandboxMetrics{PodSandboxId: p.GetAttributes().GetId(),
			Metrics: metrics(pod, []string{p.GetAttributes().GetId(), "", "", of.GetName(), of.GetNamespace()})}
		for _, c := range linux.GetContainers() {
			id, image, started := c.GetAttributes().GetId(), "", time.Time{}
			if known, err := s.Containers.Get(id); err == nil {
				image, started = imageName(known), known.Status().Started
			}
			used := &measured{cpu: c.GetCpu(), memory: c.GetMemory(), swap: c.GetSwap(), layer: c.GetWritableLayer(), started: started}
			m.ContainerMetrics = append(m.ContainerMetrics, &cri.ContainerMetrics{ContainerId: id,
				Metrics: metrics(used, []string{id, c.GetAttributes().GetMetadata().GetName(), image, of.GetName(), of.GetNamespace()})})
		}
		out = append(out, m)
	}
	return out
}

func imageName(c *container.Container) string { return c.Config.GetImage().GetImage() }

// ListPodSandboxMetrics lists what pods and their containers use.
func (s *Service) ListPodSandboxMetrics(context.Context, *cri.ListPodSandboxMetricsRequest) (*cri.ListPodSandboxMetricsResponse, error) {
	return &cri.ListPodSandboxMetricsResponse{PodMetrics: s.listSandboxMetrics()}, nil
}

// StreamPodSandboxMetrics is ListPodSandboxMetrics as a stream.
func (s *Service) StreamPodSandboxMetrics(_ *cri.StreamPodSandboxMetricsRequest, out cri.RuntimeService_StreamPodSandboxMetricsServer) error {
	for _, m := range s.listSandboxMetrics() {
		if err := out.Send(&cri.StreamPodSandboxMetricsResponse{PodSandboxMetrics: []*cri.PodSandboxMetrics{m}}); err != nil {
			return err
		}
	}
	return nil
}
