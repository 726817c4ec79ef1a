package machine

import "github.com/vishvananda/netlink"

// usualMTU is Ethernet's, in bytes.
const usualMTU = 1500

// MTU is the largest packet of the default route's link, in bytes; Ethernet's
// where there is no default route.
func MTU() int {
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Dst: nil}, netlink.RT_FILTER_DST)
	if err != nil {
		return usualMTU
	}
	for _, r := range routes {
		if link, err := netlink.LinkByIndex(r.LinkIndex); err == nil && link.Attrs().MTU > 0 {
			return link.Attrs().MTU
		}
	}
	return usualMTU
}
