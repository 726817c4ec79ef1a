package proxy

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/network/ruleset"
)

// Flow is a way that UDP takes: the frontend that it was sent to, and the
// endpoint that answers. A frontend without an address is a port of the node,
// whichever of its addresses it came to.
type Flow struct{ To, By netip.AddrPort }

// asOfNode is the flow as one to a port of the node.
func (f Flow) asOfNode() Flow {
	return Flow{To: netip.AddrPortFrom(netip.Addr{}, f.To.Port()), By: f.By}
}

// listTries bounds how often the kernel's list is read: one that changes
// meanwhile may lack some.
const listTries = 5

// ForgetUDP ends the tracked UDP flows that are gone, so that the next packet of
// their client finds a living endpoint. It reads the kernel's list once.
func ForgetUDP(gone func(Flow) bool) error {
	for range listTries {
		_, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, flowFilter(gone))
		if err == nil {
			return nil
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return fmt.Errorf("delete conntrack entries: %w", err)
		}
	}
	return fmt.Errorf("delete conntrack entries: the kernel's list changed %d times while it was read", listTries)
}

// flowFilter selects the flows to end.
type flowFilter func(Flow) bool

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (gone flowFilter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	if flow.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	to, ok := netip.AddrFromSlice(flow.Forward.DstIP)
	by, known := netip.AddrFromSlice(flow.Reverse.SrcIP)
	return ok && known && gone(Flow{
		To: netip.AddrPortFrom(to.Unmap(), flow.Forward.DstPort),
		By: netip.AddrPortFrom(by.Unmap(), flow.Reverse.SrcPort),
	})
}

// frontends are UDP ones by the address, or as ports of the node.
type frontends struct {
	addrs map[netip.Addr]bool
	ports map[uint16]bool
}

func newFrontends() frontends {
	return frontends{addrs: map[netip.Addr]bool{}, ports: map[uint16]bool{}}
}

// add adds those that lead somewhere from now on. A flow that was sent to one
// before was tracked as it is, untranslated, and would stay so for as long as
// its client sends. Addresses name flows that answer from them, which a
// translated one does not.
func (f frontends) add(change ruleset.Change) {
	for key := range change.SetKeys {
		if _, was := change.DropKeys[key]; was || key.Protocol != unix.IPPROTO_UDP {
			continue
		}
		switch key.Set {
		case ruleset.Picks, ruleset.Frontends:
			f.addrs[key.Addr] = true
		case ruleset.NodePicks, ruleset.NodePorts:
			f.ports[key.Port] = true
		}
	}
}

// addFrontends adds the UDP frontends among a table's elements, also those that
// are refused.
func addFrontends(to map[netip.AddrPort]bool, elements map[ruleset.Key]string) {
	for key := range elements {
		if key.Protocol != unix.IPPROTO_UDP {
			continue
		}
		switch key.Set {
		case ruleset.Picks, ruleset.Frontends, ruleset.Refused, ruleset.NodePicks, ruleset.NodePorts, ruleset.RefusedPorts:
			to[netip.AddrPortFrom(key.Addr, key.Port)] = true
		}
	}
}
