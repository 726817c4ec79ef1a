package peers

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routeProtocol marks routes as ours, as those of package podnet, which takes
// all of them away again.
const routeProtocol = netlink.RouteProtocol(0x6b) // 'k'

// shares tells whether a node is on a link of this machine, and which.
func shares(node netip.Addr) (link int, shared bool, err error) {
	routes, err := netlink.RouteGet(node.AsSlice())
	if err != nil {
		return 0, false, fmt.Errorf("find the way to node address %s: %w", node, err)
	}
	for _, r := range routes {
		// A gateway that is the node itself is no other hop.
		if r.Type == unix.RTN_UNICAST && (r.Gw == nil || r.Gw.Equal(node.AsSlice())) && r.LinkIndex != 0 {
			return r.LinkIndex, true, nil
		}
	}
	return 0, false, nil
}

// routeStraight sends a range to a node on a link.
func routeStraight(r netip.Prefix, node netip.Addr, link int) error {
	return replaceRoute(&netlink.Route{Dst: network(r), Gw: node.AsSlice(), LinkIndex: link})
}

func replaceRoute(r *netlink.Route) error {
	r.Protocol, r.Flags = routeProtocol, int(netlink.FLAG_ONLINK)
	if err := netlink.RouteReplace(r); err != nil {
		return fmt.Errorf("route %s: %w", r.Dst, err)
	}
	return nil
}

// unroute takes the route of a range away; one that is gone is no error.
func unroute(r netip.Prefix) error {
	err := netlink.RouteDel(&netlink.Route{Dst: network(r), Protocol: routeProtocol})
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("remove the route to %s: %w", r, err)
	}
	return nil
}

// standing are the ranges that are routed to nodes now.
func standing() ([]netip.Prefix, error) {
	ours, err := netlink.RouteListFiltered(unix.AF_INET, &netlink.Route{Protocol: routeProtocol}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var out []netip.Prefix
	for _, r := range ours {
		if r.Gw == nil || r.Dst == nil {
			continue // the node's own, of package podnet
		}
		out = append(out, destination(r))
	}
	return out, nil
}

// destination is where a route of IPv4 leads.
func destination(r netlink.Route) netip.Prefix {
	if r.Dst == nil {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	addr, _ := netip.AddrFromSlice(r.Dst.IP.To4())
	ones, _ := r.Dst.Mask.Size()
	return netip.PrefixFrom(addr, ones)
}

func network(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Masked().Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
