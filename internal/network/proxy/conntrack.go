package proxy

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/network/ruleset"
)

// ForgetUDP ends the tracked UDP flows that are translated to the address, so
// that the next packet of their client finds a living endpoint.
func ForgetUDP(addr netip.Addr) error {
	filter := &netlink.ConntrackFilter{}
	if err := filter.AddProtocol(unix.IPPROTO_UDP); err != nil {
		return fmt.Errorf("conntrack filter: %w", err)
	}
	if err := filter.AddIP(netlink.ConntrackReplySrcIP, net.IP(addr.AsSlice())); err != nil {
		return fmt.Errorf("conntrack filter: %w", err)
	}
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, filter); err != nil {
		return fmt.Errorf("delete conntrack entries to %s: %w", addr, err)
	}
	return nil
}

// ForgetUDPPort ends the tracked UDP flows to a port of the node, whichever of
// its addresses they came to.
func ForgetUDPPort(port uint16) error {
	filter := &netlink.ConntrackFilter{}
	if err := filter.AddProtocol(unix.IPPROTO_UDP); err != nil {
		return fmt.Errorf("conntrack filter: %w", err)
	}
	if err := filter.AddPort(netlink.ConntrackOrigDstPort, port); err != nil {
		return fmt.Errorf("conntrack filter: %w", err)
	}
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, filter); err != nil {
		return fmt.Errorf("delete conntrack entries to port %d: %w", port, err)
	}
	return nil
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
