package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	nl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

// listTries bounds how often the list of connections is read: one that changes
// meanwhile may lack some.
const listTries = 5

// EndFlows ends the tracked connections that are not allowed: their next
// packet is judged as a first one would be. What the node itself sends is not
// asked about. It returns how many there were; its cost follows the number of
// connections that the kernel tracks.
func (t *Table) EndFlows(allowed func(rules.Flow) bool) (uint, error) {
	own, err := t.ownAddresses()
	if err != nil {
		return 0, err
	}
	filter := flowFilter{own: own, edge: t.edge, allowed: allowed}
	ended := uint(0)
	for range listTries {
		n, err := t.flows.ConntrackDeleteFilters(nl.ConntrackTable, unix.AF_INET, filter)
		ended += n
		if err == nil {
			return ended, nil
		}
		if !errors.Is(err, nl.ErrDumpInterrupted) {
			return ended, fmt.Errorf("end connections that are not allowed any more: %w", err)
		}
	}
	return ended, fmt.Errorf("end connections that are not allowed any more: the kernel's list changed %d times while it was read", listTries)
}

func (t *Table) ownAddresses() (map[netip.Addr]bool, error) {
	addrs, err := t.flows.AddrList(nil, unix.AF_INET)
	if err != nil {
		return nil, fmt.Errorf("list the node's addresses: %w", err)
	}
	out := make(map[netip.Addr]bool, len(addrs))
	for i := range addrs {
		if a, ok := fromIP(addrs[i].IP); ok {
			out[a] = true
		}
	}
	return out, nil
}

// flowFilter selects the connections to end.
type flowFilter struct {
	own     map[netip.Addr]bool
	edge    netip.Addr
	allowed func(rules.Flow) bool
}

// MatchConntrackFlow tells that the connection is to be ended. Who answers is
// whom it reaches after all translation.
func (f flowFilter) MatchConntrackFlow(flow *nl.ConntrackFlow) bool {
	source, ok := fromIP(flow.Forward.SrcIP)
	destination, known := fromIP(flow.Reverse.SrcIP)
	if !ok || !known {
		return false
	}
	if back, ok := fromIP(flow.Reverse.DstIP); ok && f.edge.IsValid() && back == f.edge {
		source = back
	} else if f.own[source] {
		return false
	}
	out := rules.Flow{Source: source, Destination: destination, Protocol: flow.Forward.Protocol}
	switch out.Protocol {
	case rules.TCP, rules.UDP, rules.SCTP:
		out.Port = flow.Reverse.SrcPort
	}
	return !f.allowed(out)
}

func fromIP(ip net.IP) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(ip)
	return a.Unmap(), ok
}
