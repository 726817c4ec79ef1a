package proxy

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/knarr-io/knarr/internal/network/ruleset"
)

// Place is where a node is: its name and its zone, which may be empty.
type Place struct{ Node, Zone string }

// candidate is an endpoint of a Service port.
type candidate struct {
	target ruleset.Target
	local  bool
	hints  *discoveryv1.EndpointHints
}

// endpointsOf are the targets of a Service port: the ready ones that are
// meant for this place, or where none is ready (ready false) those that still
// serve while they terminate. local are those on the node, whoever they are
// meant for.
func endpointsOf(all []*discoveryv1.EndpointSlice, port *corev1.ServicePort, here Place) (targets, local []ruleset.Target, ready bool) {
	living := collect(all, port, here, isReady)
	if len(living) == 0 {
		ending := collect(all, port, here, isEnding)
		return targetsOf(ending), targetsOf(localOf(ending)), false
	}
	local = targetsOf(localOf(living))
	if len(local) == 0 {
		local = targetsOf(localOf(collect(all, port, here, isEnding)))
	}
	return targetsOf(near(living, here)), local, true
}

func isReady(c discoveryv1.EndpointConditions) bool { return c.Ready == nil || *c.Ready }

func isEnding(c discoveryv1.EndpointConditions) bool {
	return c.Serving != nil && *c.Serving && c.Terminating != nil && *c.Terminating
}

// leavingOf are the endpoints that end. With publishNotReadyAddresses they are
// said to be ready to the last, and nobody can wait for them to leave.
func leavingOf(all []*discoveryv1.EndpointSlice) map[netip.Addr]bool {
	var out map[netip.Addr]bool
	for _, slice := range all {
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			if e.Conditions.Terminating == nil || !*e.Conditions.Terminating || len(e.Addresses) == 0 {
				continue
			}
			if addr, err := netip.ParseAddr(e.Addresses[0]); err == nil {
				if out == nil {
					out = map[netip.Addr]bool{}
				}
				out[addr] = true
			}
		}
	}
	return out
}

// near are the endpoints whose hints name the node, or else its zone
// (KEP-2433, KEP-4444). Hints count only where every endpoint has one, and one
// of them names this place: half of the hints would overload few endpoints.
func near(all []candidate, here Place) []candidate {
	if out, ok := hinted(all, func(h *discoveryv1.EndpointHints) (given, mine bool) {
		return len(h.ForNodes) > 0, slices.Contains(h.ForNodes, discoveryv1.ForNode{Name: here.Node})
	}); ok {
		return out
	}
	if here.Zone == "" {
		return all
	}
	if out, ok := hinted(all, func(h *discoveryv1.EndpointHints) (given, mine bool) {
		return len(h.ForZones) > 0, slices.Contains(h.ForZones, discoveryv1.ForZone{Name: here.Zone})
	}); ok {
		return out
	}
	return all
}

// hinted are the endpoints that are for this place; ok is false where hints of
// the kind do not count.
func hinted(all []candidate, read func(*discoveryv1.EndpointHints) (given, mine bool)) (out []candidate, ok bool) {
	for _, c := range all {
		if c.hints == nil {
			return nil, false
		}
		given, mine := read(c.hints)
		if !given {
			return nil, false
		}
		if mine {
			out = append(out, c)
		}
	}
	return out, len(out) > 0
}

func localOf(all []candidate) []candidate {
	var out []candidate
	for _, c := range all {
		if c.local {
			out = append(out, c)
		}
	}
	return out
}

func collect(all []*discoveryv1.EndpointSlice, port *corev1.ServicePort, here Place, take func(discoveryv1.EndpointConditions) bool) []candidate {
	var out []candidate
	for _, slice := range all {
		number, ok := portOf(slice, port)
		if !ok || slice.AddressType != discoveryv1.AddressTypeIPv4 {
			continue
		}
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			if !take(e.Conditions) || len(e.Addresses) == 0 {
				continue
			}
			addr, err := netip.ParseAddr(e.Addresses[0])
			if err != nil || !addr.Is4() {
				continue
			}
			out = append(out, candidate{
				target: ruleset.Target{Addr: addr, Port: number}, hints: e.Hints, local: e.NodeName != nil && *e.NodeName == here.Node,
			})
		}
	}
	return out
}

func portOf(slice *discoveryv1.EndpointSlice, port *corev1.ServicePort) (uint16, bool) {
	for _, p := range slice.Ports {
		name, protocol := "", corev1.ProtocolTCP
		if p.Name != nil {
			name = *p.Name
		}
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		if name == port.Name && (protocol == port.Protocol || port.Protocol == "") && p.Port != nil {
			return uint16(*p.Port), true
		}
	}
	return 0, false
}

// targetsOf sorts the targets, so that equal sets render equally, and drops
// doubles, which slices in transit may show.
func targetsOf(all []candidate) []ruleset.Target {
	out := make([]ruleset.Target, 0, len(all))
	for _, c := range all {
		out = append(out, c.target)
	}
	slices.SortFunc(out, func(a, b ruleset.Target) int {
		if c := a.Addr.Compare(b.Addr); c != 0 {
			return c
		}
		return int(a.Port) - int(b.Port)
	})
	return slices.Compact(out)
}
