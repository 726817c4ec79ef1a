package proxy

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
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
