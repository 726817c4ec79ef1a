package stats

import (
	"sync"
	"time"

	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

const (
	// rateEvery is how often a rate is made anew while questions come.
	rateEvery = 5 * time.Second
	// rateOld is when a rate says nothing of the present any more.
	rateOld = 2 * time.Minute
)

// counted is a CPU counter at a time, in nanoseconds, and the rate in
// nanocores of the time before it.
type counted struct {
	at    time.Time
	total uint64
	rate  *uint64
}

// rates makes figures per second of counters. The zero value is ready.
type rates struct {
	mu    sync.Mutex
	known map[string]counted // guarded by mu
	swept time.Time          // guarded by mu
}

// stale tells that the next figures would have nothing young to compare with.
func (r *rates) stale(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.known[""]
	return !ok || c.rate == nil || now.Sub(c.at).Abs() > rateOld
}

// rate takes in a counter's value and gives its rate; nil: not known yet.
func (r *rates) rate(name string, at time.Time, total uint64) *uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]counted{}
	}
	r.sweepLocked(at)
	before, ok := r.known[name]
	span := at.Sub(before.at)
	switch {
	case !ok || total < before.total || span > rateOld || span < 0:
		r.known[name] = counted{at: at, total: total} // first seen, begun anew, long ago, or before the clock was set back
	case span > 0 && (before.rate == nil || span >= rateEvery):
		n := uint64(float64(total-before.total) / span.Seconds())
		r.known[name] = counted{at: at, total: total, rate: &n}
	}
	return r.known[name].rate
}

// sweepLocked forgets what is not told any more.
func (r *rates) sweepLocked(now time.Time) {
	if now.Sub(r.swept).Abs() < rateOld {
		return
	}
	r.swept = now
	for name, c := range r.known {
		if now.Sub(c.at).Abs() > rateOld {
			delete(r.known, name)
		}
	}
}

// rated fills in what is used per second, where the runtime did not.
func (p *Provider) rated(s *statsapi.Summary) *statsapi.Summary {
	if s == nil {
		return nil
	}
	fill := func(name string, c *statsapi.CPUStats) {
		if c == nil || c.UsageCoreNanoSeconds == nil {
			return
		}
		if n := p.rates.rate(name, c.Time.Time, *c.UsageCoreNanoSeconds); c.UsageNanoCores == nil {
			c.UsageNanoCores = n
		}
	}
	fill("", s.Node.CPU)
	for i := range s.Node.SystemContainers {
		fill("/"+s.Node.SystemContainers[i].Name, s.Node.SystemContainers[i].CPU)
	}
	for i := range s.Pods {
		uid := s.Pods[i].PodRef.UID
		fill(uid, s.Pods[i].CPU)
		for j := range s.Pods[i].Containers {
			fill(uid+"/"+s.Pods[i].Containers[j].Name, s.Pods[i].Containers[j].CPU)
		}
	}
	return s
}
