package ingress

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/knarr-io/knarr/internal/edge/mirror"
)

// avoidFor is how long an endpoint that refused a connection is tried last.
const avoidFor = 2 * time.Second

// Backends picks endpoints of Service ports. It is safe for concurrent use.
type Backends struct {
	mirror *mirror.Mirror

	mu    sync.Mutex
	avoid map[string]time.Time
}

// newBackends picks from what the mirror knows.
func newBackends(m *mirror.Mirror) *Backends {
	return &Backends{mirror: m, avoid: map[string]time.Time{}}
}

// Candidates are the addresses (host:port) of a target, in the order in which
// they are to be tried: at random, those that failed just now last; and what
// they speak.
func (b *Backends) Candidates(t Target, now time.Time) (addrs []string, speaks protocol) {
	svc, ok := b.mirror.Service(t.Service)
	if !ok {
		return nil, unsaid
	}
	port := portOf(svc, t)
	if port == nil {
		return nil, unsaid
	}
	speaks = t.Backend.Protocol
	if speaks == unsaid && port.AppProtocol != nil {
		speaks = protocolOf(*port.AppProtocol)
	}
	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		return []string{net.JoinHostPort(svc.Spec.ExternalName, strconv.Itoa(int(port.Port)))}, speaks
	}
	found := addresses(b.mirror.Slices(t.Service), port.Name)
	rand.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	return b.failedLast(found, now), speaks
}

func portOf(svc *corev1.Service, t Target) *corev1.ServicePort {
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		if t.PortName != "" && p.Name == t.PortName || t.PortName == "" && p.Port == t.PortNumber {
			return p
		}
	}
	return nil
}

func addresses(slices []*discoveryv1.EndpointSlice, port string) []string {
	ready := collect(slices, port, func(c discoveryv1.EndpointConditions) bool { return c.Ready == nil || *c.Ready })
	if len(ready) > 0 {
		return ready
	}
	return collect(slices, port, func(c discoveryv1.EndpointConditions) bool { return c.Serving != nil && *c.Serving })
}

func collect(slices []*discoveryv1.EndpointSlice, port string, take func(discoveryv1.EndpointConditions) bool) []string {
	var out []string
	for _, slice := range slices {
		for _, p := range slice.Ports {
			if p.Port == nil || p.Name != nil && *p.Name != port || p.Name == nil && port != "" {
				continue
			}
			for i := range slice.Endpoints {
				e := &slice.Endpoints[i]
				if !take(e.Conditions) || len(e.Addresses) == 0 {
					continue
				}
				if addr, err := netip.ParseAddr(e.Addresses[0]); err == nil {
					out = append(out, netip.AddrPortFrom(addr, uint16(*p.Port)).String())
				}
			}
		}
	}
	return out
}

// Failed notes that an endpoint could not be connected to.
func (b *Backends) Failed(address string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for a, until := range b.avoid {
		if now.After(until) {
			delete(b.avoid, a)
		}
	}
	b.avoid[address] = now.Add(avoidFor)
}

func (b *Backends) failedLast(all []string, now time.Time) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.avoid) == 0 {
		return all
	}
	out := make([]string, 0, len(all))
	var last []string
	for _, a := range all {
		if until, ok := b.avoid[a]; ok && now.Before(until) {
			last = append(last, a)
		} else {
			out = append(out, a)
		}
	}
	return append(out, last...)
}
