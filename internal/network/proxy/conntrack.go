package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/network/ruleset"
)

// ForgetUDP ends the tracked UDP flows that are translated to an address and
// came to a frontend, so that the next packet of their client finds a living
// endpoint. An address that is none stands for all: a port alone is one of the
// node, whichever of its addresses they came to.
func ForgetUDP(from netip.Addr, to netip.AddrPort) error {
	filter := &netlink.ConntrackFilter{}
	failed := []error{filter.AddProtocol(unix.IPPROTO_UDP)}
	if from.IsValid() {
		failed = append(failed, filter.AddIP(netlink.ConntrackReplySrcIP, net.IP(from.AsSlice())))
	}
	if to.Addr().IsValid() {
		failed = append(failed, filter.AddIP(netlink.ConntrackOrigDstIP, net.IP(to.Addr().AsSlice())))
	}
	if to.Port() != 0 {
		failed = append(failed, filter.AddPort(netlink.ConntrackOrigDstPort, to.Port()))
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("conntrack filter: %w", err)
	}
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, filter); err != nil {
		return fmt.Errorf("delete conntrack entries from %s to %s: %w", from, to, err)
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

// udpFrontends are those of an owner; a port alone is one of the node.
func udpFrontends(r Rendered) map[netip.AddrPort]bool {
	out := map[netip.AddrPort]bool{}
	for key := range r.Elements {
		if key.Protocol != unix.IPPROTO_UDP {
			continue
		}
		switch key.Set {
		case ruleset.Picks, ruleset.Frontends, ruleset.NodePicks, ruleset.NodePorts:
			out[netip.AddrPortFrom(key.Addr, key.Port)] = true
		}
	}
	return out
}
