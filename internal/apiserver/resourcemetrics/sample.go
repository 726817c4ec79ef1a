package resourcemetrics

import (
	"fmt"
	"io"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/types"
)

// maxSample bounds what a node may answer, in bytes.
const maxSample = 32 << 20

// point is what something had used at a time.
type point struct {
	at     time.Time
	cpu    float64 // seconds, since start
	memory float64 // bytes of working set
	start  time.Time
}

// complete tells that both figures are there.
func (p point) complete() bool { return !p.at.IsZero() && p.memory > 0 }

// sample is what a node told at a time.
type sample struct {
	at   time.Time // when it was asked
	node point
	pods map[types.NamespacedName]map[string]point // containers by name
}

// read takes in a node's answer in Prometheus' text format.
func read(r io.Reader, at time.Time) (*sample, error) {
	limited := &io.LimitedReader{R: r, N: maxSample + 1}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(limited)
	if limited.N <= 0 {
		return nil, fmt.Errorf("the node's metrics exceed %d bytes", maxSample)
	}
	if err != nil {
		return nil, fmt.Errorf("the node's metrics cannot be read: %w", err)
	}
	s := &sample{at: at, pods: map[types.NamespacedName]map[string]point{}}
	for _, m := range families["node_cpu_usage_seconds_total"].GetMetric() {
		s.node.cpu, s.node.at = value(m), timeOf(m, at)
	}
	for _, m := range families["node_memory_working_set_bytes"].GetMetric() {
		s.node.memory = value(m)
	}
	s.each(families["container_cpu_usage_seconds_total"], func(p *point, m *dto.Metric) { p.cpu, p.at = value(m), timeOf(m, at) })
	s.each(families["container_memory_working_set_bytes"], func(p *point, m *dto.Metric) { p.memory = value(m) })
	s.each(families["container_start_time_seconds"], func(p *point, m *dto.Metric) { p.start = time.UnixMilli(int64(value(m) * 1000)) })
	return s, nil
}

// each gives fn the point of every container that a family tells of.
func (s *sample) each(f *dto.MetricFamily, fn func(*point, *dto.Metric)) {
	for _, m := range f.GetMetric() {
		var pod types.NamespacedName
		container := ""
		for _, l := range m.GetLabel() {
			switch l.GetName() {
			case "namespace":
				pod.Namespace = l.GetValue()
			case "pod":
				pod.Name = l.GetValue()
			case "container":
				container = l.GetValue()
			}
		}
		if pod.Name == "" || container == "" {
			continue
		}
		containers := s.pods[pod]
		if containers == nil {
			containers = map[string]point{}
			s.pods[pod] = containers
		}
		p := containers[container]
		fn(&p, m)
		containers[container] = p
	}
}

func value(m *dto.Metric) float64 {
	return m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
}

func timeOf(m *dto.Metric, otherwise time.Time) time.Time {
	if ms := m.GetTimestampMs(); ms > 0 {
		return time.UnixMilli(ms)
	}
	return otherwise
}
