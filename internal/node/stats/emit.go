package stats

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// family is a metric of one name.
type family struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
}

func gauge(name, help string, labels ...string) family {
	return family{name, help, prometheus.GaugeValue, labels}
}

func counter(name, help string, labels ...string) family {
	return family{name, help, prometheus.CounterValue, labels}
}

// emitter sends figures of families; each description is made once.
type emitter struct {
	out   chan<- prometheus.Metric
	descs map[string]*prometheus.Desc
}

func newEmitter(out chan<- prometheus.Metric) *emitter {
	return &emitter{out: out, descs: map[string]*prometheus.Desc{}}
}

// send sends a figure with the values of the family's labels; at is left out
// where it is zero.
func (e *emitter) send(f family, v float64, at time.Time, labels ...string) {
	d := e.descs[f.name]
	if d == nil {
		d = prometheus.NewDesc(f.name, f.help, f.labels, nil)
		e.descs[f.name] = d
	}
	m, err := prometheus.NewConstMetric(d, f.kind, v, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err)
	} else if !at.IsZero() {
		m = prometheus.NewMetricWithTimestamp(at, m)
	}
	e.out <- m
}
