package podnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	podLink    = "eth0"
	hostPrefix = "kn"
	// hostNameLen is how much of a sandbox ID names its host link: a link name has 15 bytes.
	hostNameLen = 11
)

// gateway is the next hop of every pod. It is link-local and bound to nothing.
var gateway = netip.AddrFrom4([4]byte{169, 254, 1, 1})

// hostMAC is the hardware address of every host end: locally administered, and
// the same everywhere, since each link has two ends only.
var hostMAC = net.HardwareAddr{0x02, 0x6b, 0x6e, 0x00, 0x00, 0x01}

// hostLink is the name of a sandbox's link on the host.
func hostLink(sandboxID string) string {
	return hostPrefix + sandboxID[:min(hostNameLen, len(sandboxID))]
}

// Attach connects the network namespace at nsPath to the host: it makes the
// veth pair, gives the pod addr, and routes it. mtu 0 means that of the default
// route's link. On an error nothing stays.
func Attach(sandboxID, nsPath string, addr netip.Addr, mtu int) error {
	inPod, err := openPod(nsPath)
	if err != nil {
		return err
	}
	defer inPod.close()
	if mtu == 0 {
		mtu = defaultMTU()
	}
	name := hostLink(sandboxID)
	veth := &netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: name, MTU: mtu, HardwareAddr: hostMAC, TxQLen: 1000},
		PeerName:         podLink,
		PeerNamespace:    netlink.NsFd(inPod.fd),
		PeerMTU:          uint32(mtu),
		PeerHardwareAddr: podMAC(addr),
	}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make link %s: %w", name, err)
	}
	if err := inPod.configure(addr); err != nil {
		return errors.Join(err, Detach(sandboxID))
	}
	if err := routeHost(name, addr); err != nil {
		return errors.Join(err, Detach(sandboxID))
	}
	return nil
}

// podMAC is a locally administered hardware address that follows from addr.
func podMAC(addr netip.Addr) net.HardwareAddr {
	a := addr.As4()
	return net.HardwareAddr{0x02, 0x6b, a[0], a[1], a[2], a[3]}
}

// routeHost brings the host end up and routes addr by it.
func routeHost(name string, addr netip.Addr) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	index := link.Attrs().Index
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	if err := netlink.NeighSet(neighbour(index, addr, podMAC(addr))); err != nil {
		return fmt.Errorf("neighbour %s: %w", addr, err)
	}
	route := &netlink.Route{LinkIndex: index, Dst: host(addr), Scope: netlink.SCOPE_LINK}
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("route to %s: %w", addr, err)
	}
	return nil
}

func neighbour(index int, addr netip.Addr, mac net.HardwareAddr) *netlink.Neigh {
	return &netlink.Neigh{LinkIndex: index, Family: unix.AF_INET, State: netlink.NUD_PERMANENT, IP: addr.AsSlice(), HardwareAddr: mac}
}

func host(addr netip.Addr) *net.IPNet {
	return &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())}
}

// Unroute takes the route to addr away, at once. One that is gone is no error.
func Unroute(addr netip.Addr) error {
	err := netlink.RouteDel(&netlink.Route{Dst: host(addr), Scope: netlink.SCOPE_LINK})
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("remove route to %s: %w", addr, err)
	}
	return nil
}

// Detach removes a sandbox's link. One that is gone is no error. The kernel
// takes its time: it waits until nobody can be using the link.
func Detach(sandboxID string) error {
	return deleteLink(hostLink(sandboxID))
}

func deleteLink(name string) error {
	link, err := netlink.LinkByName(name)
	var notFound netlink.LinkNotFoundError
	if errors.As(err, &notFound) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove link %s: %w", name, err)
	}
	return nil
}

// defaultMTU is that of the link of the default route, or 1500.
func defaultMTU() int {
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Dst: nil}, netlink.RT_FILTER_DST)
	if err != nil {
		return 1500
	}
	for _, r := range routes {
		if link, err := netlink.LinkByIndex(r.LinkIndex); err == nil && link.Attrs().MTU > 0 {
			return link.Attrs().MTU
		}
	}
	return 1500
}
