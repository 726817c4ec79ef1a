package apiserver

import (
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// labels name the series of one sort of requests.
type labels struct {
	verb, dryRun, group, version, resource, subresource, scope string
}

func (l labels) values() []string {
	return []string{l.verb, l.group, l.version, l.resource, l.subresource, l.scope, "apiserver"}
}

// series are those of one sort of requests, found once: looking them up by
// their labels costs more than counting does.
type series struct {
	requests            *prometheus.CounterVec // all but the code is fixed
	duration, sli, size prometheus.Observer
	running             prometheus.Gauge

	codes sync.Map // int -> prometheus.Counter
}

// of finds the series of a sort of requests.
func (m *metrics) of(l labels) *series {
	if have, ok := m.made.Load(l); ok {
		return have.(*series)
	}
	values := l.values()
	withDryRun := append(values[:len(values):len(values)], l.dryRun)
	made := &series{
		requests: m.requests.MustCurryWith(prometheus.Labels{"verb": l.verb, "dry_run": l.dryRun, "group": l.group, "version": l.version,
			"resource": l.resource, "subresource": l.subresource, "scope": l.scope, "component": "apiserver"}),
		duration: m.durations.WithLabelValues(withDryRun...), sli: m.slis.WithLabelValues(values...),
		size: m.sizes.WithLabelValues(values...), running: m.running.WithLabelValues(values...),
	}
	have, _ := m.made.LoadOrStore(l, made)
	return have.(*series)
}

// answered counts the answers of a status.
func (s *series) answered(code int) prometheus.Counter {
	if have, ok := s.codes.Load(code); ok {
		return have.(prometheus.Counter)
	}
	have, _ := s.codes.LoadOrStore(code, s.requests.WithLabelValues(strconv.Itoa(code)))
	return have.(prometheus.Counter)
}
