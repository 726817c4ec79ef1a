package nodelifecycle

import (
	"math"
	"time"
)

// Rates at which nodes are emptied, per zone and second, upstream's defaults:
// a zone of which most is lost is emptied slowly, or not at all where it is
// small, since the fault is then likely on our side.
const (
	rateHealthy    = 0.1
	rateDisrupted  = 0.01
	disruptedPart  = 0.55
	disruptedLeast = 3
	largeZone      = 50
)

// pacer decides when a node that is not ready may be emptied. It keeps the
// readiness of all nodes by zone; time comes in as an argument.
type pacer struct {
	nodes map[string]place
	zones map[string]*zone
	ready int // nodes in all
}

type place struct {
	zone  string
	ready bool
}

type zone struct {
	ready, lost int
	tokens      float64 // at most one
	at          time.Time
}

func newPacer() *pacer {
	return &pacer{nodes: map[string]place{}, zones: map[string]*zone{}}
}

// set takes a node's readiness. It tells whether the pace of anyone changed.
func (p *pacer) set(name, zoneName string, ready bool, now time.Time) bool {
	have, known := p.nodes[name]
	if known && have.zone == zoneName && have.ready == ready {
		return false
	}
	before, none := p.rate(zoneName), p.ready == 0
	left := p.drop(name)
	z := p.zones[zoneName]
	if z == nil {
		z = &zone{tokens: 1, at: now}
		p.zones[zoneName] = z
	}
	p.nodes[name] = place{zone: zoneName, ready: ready}
	if ready {
		z.ready++
		p.ready++
	} else {
		z.lost++
	}
	return left && have.zone != zoneName || before != p.rate(zoneName) || none != (p.ready == 0)
}

// drop forgets a node. It tells whether the pace of anyone changed: where lost
// nodes are taken away, others may have to be emptied that were not before.
func (p *pacer) drop(name string) bool {
	have, known := p.nodes[name]
	if !known {
		return false
	}
	before, none := p.rate(have.zone), p.ready == 0
	delete(p.nodes, name)
	z := p.zones[have.zone]
	if have.ready {
		z.ready--
		p.ready--
	} else {
		z.lost--
	}
	return before != p.rate(have.zone) || none != (p.ready == 0)
}

// anyReady tells whether a node of the cluster is ready. While none is,
// nothing is evicted.
func (p *pacer) anyReady() bool { return p.ready > 0 }

// rate is how many nodes of a zone may be emptied per second.
func (p *pacer) rate(zoneName string) float64 {
	z := p.zones[zoneName]
	switch {
	case z == nil || z.ready == 0: // all lost: the other zones bear witness
		return rateHealthy
	case z.lost < disruptedLeast || float64(z.lost)/float64(z.ready+z.lost) < disruptedPart:
		return rateHealthy
	case z.ready+z.lost > largeZone:
		return rateDisrupted
	}
	return 0
}

// take asks to empty a node now; wait is when to ask again, zero for: when
// the pace changes.
func (p *pacer) take(name string, now time.Time) (ok bool, wait time.Duration) {
	zoneName := p.nodes[name].zone
	z, rate := p.zones[zoneName], p.rate(zoneName)
	if z == nil || rate == 0 {
		return false, 0
	}
	z.tokens = min(1, z.tokens+now.Sub(z.at).Seconds()*rate)
	z.at = now
	if z.tokens >= 1 {
		z.tokens--
		return true, 0
	}
	return false, time.Duration(math.Ceil((1 - z.tokens) / rate * float64(time.Second)))
}
