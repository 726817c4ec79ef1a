package peers

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The tunnel's link. The port is IANA's for VXLAN; the network identifier is
// ours, so that another user of the port is not mistaken for a node.
const (
	tunnelLink = "kntunnel"
	tunnelPort = 4789
	tunnelVNI  = 0x6b6e72
	// tunnelRoom is what the outer headers take of a packet, in bytes: IPv4,
	// UDP, VXLAN and the inner Ethernet header.
	tunnelRoom = 20 + 8 + 8 + 14
)

// tunnelTo makes the link where it is missing and gives it the node's own end:
// address is the node's, own its pod range.
func tunnelTo(address netip.Addr, own netip.Prefix) (*netlink.Vxlan, error) {
	mtu, err := mtuOf(address)
	if err != nil {
		return nil, err
	}
	want := &netlink.Vxlan{
		LinkAttrs: netlink.LinkAttrs{Name: tunnelLink, MTU: mtu - tunnelRoom, HardwareAddr: tunnelMAC(address), TxQLen: 1000},
		VxlanId:   tunnelVNI, Port: tunnelPort, SrcAddr: address.AsSlice(), Learning: false,
	}
	link, err := netlink.LinkByName(tunnelLink)
	var notFound netlink.LinkNotFoundError
	if err != nil && !errors.As(err, &notFound) {
		return nil, fmt.Errorf("tunnel: %w", err)
	}
	have, ok := link.(*netlink.Vxlan)
	if ok && !have.SrcAddr.Equal(want.SrcAddr) {
		if err := netlink.LinkDel(have); err != nil {
			return nil, fmt.Errorf("remove the tunnel of another address: %w", err)
		}
		ok = false
	}
	if !ok {
		if err := netlink.LinkAdd(want); err != nil {
			return nil, fmt.Errorf("make the tunnel (is the kernel built with vxlan?): %w", err)
		}
		have = want
	}
	end := &netlink.Addr{IPNet: network(netip.PrefixFrom(gatewayOf(own), 32))}
	if err := netlink.AddrReplace(have, end); err != nil {
		return nil, fmt.Errorf("tunnel address %s: %w", end, err)
	}
	return have, netlink.LinkSetUp(have)
}

// mtuOf is that of the link that has the node's address.
func mtuOf(address netip.Addr) (int, error) {
	addrs, err := netlink.AddrList(nil, unix.AF_INET)
	if err != nil {
		return 0, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		if !a.IP.Equal(net.IP(address.AsSlice())) {
			continue
		}
		link, err := netlink.LinkByIndex(a.LinkIndex)
		if err != nil {
			return 0, err
		}
		return link.Attrs().MTU, nil
	}
	return 0, fmt.Errorf("the node's address %s is on no link of this machine", address)
}

// routeTunnel sends a network through the tunnel to a node.
func routeTunnel(link *netlink.Vxlan, n netip.Prefix, node Peer) error {
	index, mac, gateway := link.Attrs().Index, net.HardwareAddr(tunnelMAC(node.Address)), gatewayOf(node.Ranges[0])
	neighbour := &netlink.Neigh{LinkIndex: index, Family: unix.AF_INET, State: netlink.NUD_PERMANENT, IP: gateway.AsSlice(), HardwareAddr: mac}
	if err := netlink.NeighSet(neighbour); err != nil {
		return fmt.Errorf("neighbour %s: %w", gateway, err)
	}
	if err := netlink.NeighSet(forward(index, node.Address)); err != nil {
		return fmt.Errorf("far end %s: %w", node.Address, err)
	}
	return replaceRoute(&netlink.Route{Dst: network(n), Gw: gateway.AsSlice(), LinkIndex: index})
}

// forward says behind which node a hardware address is.
func forward(index int, node netip.Addr) *netlink.Neigh {
	return &netlink.Neigh{LinkIndex: index, Family: unix.AF_BRIDGE, State: netlink.NUD_PERMANENT, Flags: netlink.NTF_SELF,
		IP: node.AsSlice(), HardwareAddr: tunnelMAC(node)}
}

// leaveTunnel forgets a node's end of the tunnel, but for what another node has;
// what is gone is no error.
func (r *router) leaveTunnel(name string, p Peer) error {
	link, err := netlink.LinkByName(tunnelLink)
	var notFound netlink.LinkNotFoundError
	if errors.As(err, &notFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tunnel: %w", err)
	}
	index := link.Attrs().Index
	var failed []error
	if !r.another(name, func(o Peer) bool { return o.Address == p.Address }) {
		failed = append(failed, ignoreGone(netlink.NeighDel(forward(index, p.Address))))
	}
	if !r.another(name, func(o Peer) bool { return o.Ranges[0] == p.Ranges[0] }) {
		failed = append(failed, ignoreGone(netlink.NeighDel(&netlink.Neigh{LinkIndex: index, Family: unix.AF_INET, IP: gatewayOf(p.Ranges[0]).AsSlice()})))
	}
	return errors.Join(failed...)
}

func ignoreGone(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// Remove takes the tunnel away; package podnet takes the routes.
func Remove() error {
	link, err := netlink.LinkByName(tunnelLink)
	var notFound netlink.LinkNotFoundError
	if errors.As(err, &notFound) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		return fmt.Errorf("remove the tunnel: %w", err)
	}
	return nil
}
