package netspace

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Member is a node of the mesh.
type Member struct {
	// Number is unique in the cluster and names the links that lead here.
	Number int
	// Path pins the member's namespace; empty for the caller's own.
	Path string
	// Address is what the others reach the member by on the mesh, Source what
	// it sends from: one of its addresses, the same one unless it has others.
	Address, Source netip.Addr
}

// linkPrefix begins the names of the mesh's links, before the number of the
// node that they lead to.
const linkPrefix = "knode"

// Mesh gives every two members a link of their own: a veth pair without a
// bridge, so that nothing depends on how bridged packets are filtered. Members
// but the first send what is for nobody of the mesh to the first. Links that
// stand stay; mtu is that of new ones.
func Mesh(members []Member, mtu int) error {
	for i, a := range members {
		for _, b := range members[i+1:] {
			if err := pair(a, b, mtu); err != nil {
				return fmt.Errorf("link the nodes %d and %d: %w", a.Number, b.Number, err)
			}
		}
	}
	for _, m := range members[1:] {
		if err := Do(m.Path, func() error { return defaultBy(members[0]) }); err != nil {
			return fmt.Errorf("route node %d to the outside: %w", m.Number, err)
		}
	}
	return nil
}

// Leave removes the links between a member and the others, at the others'
// ends, where they can be reached also when its namespace is gone.
func Leave(leaving Member, others []Member) error {
	var failed []error
	for _, o := range others {
		if !Exists(o.Path) {
			continue
		}
		failed = append(failed, Do(o.Path, func() error { return removeLink(linkTo(leaving)) }))
	}
	return errors.Join(failed...)
}

func removeLink(name string) error {
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

func linkTo(m Member) string { return linkPrefix + strconv.Itoa(m.Number) }

// pair makes the link between two members and sets up both ends.
func pair(a, b Member, mtu int) error {
	if err := Do(a.Path, func() error { return connect(a, b, mtu) }); err != nil {
		return err
	}
	if err := Do(a.Path, func() error { return configure(a, b) }); err != nil {
		return err
	}
	return Do(b.Path, func() error { return configure(b, a) })
}

// connect makes the veth pair, in a's namespace, unless it stands.
func connect(a, b Member, mtu int) error {
	_, err := netlink.LinkByName(linkTo(b))
	var notFound netlink.LinkNotFoundError
	if !errors.As(err, &notFound) {
		return err
	}
	peer, err := os.Open(b.Path)
	if err != nil {
		return err
	}
	defer peer.Close()
	return netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: linkTo(b), MTU: mtu, TxQLen: 1000},
		PeerName:  linkTo(a), PeerNamespace: netlink.NsFd(int(peer.Fd())), PeerMTU: uint32(mtu),
	})
}

// configure gives the own end its address and the route to the other member.
func configure(own, other Member) error {
	link, err := netlink.LinkByName(linkTo(other))
	if err != nil {
		return err
	}
	if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: host(own.Address)}); err != nil {
		return fmt.Errorf("address %s: %w", own.Address, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	reached := []netip.Addr{other.Address, other.Source}
	for _, addr := range reached {
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: host(addr), Src: net.IP(own.Source.AsSlice()), Scope: netlink.SCOPE_LINK}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("route to %s: %w", addr, err)
		}
	}
	return forgetOthers(link, reached)
}

// forgetOthers removes the routes to addresses that the member behind a link
// had before: another machine may have them now.
func forgetOthers(link netlink.Link, reached []netip.Addr) error {
	filter := &netlink.Route{LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK}
	routes, err := netlink.RouteListFiltered(unix.AF_INET, filter, netlink.RT_FILTER_OIF|netlink.RT_FILTER_SCOPE)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst == nil || slices.ContainsFunc(reached, func(a netip.Addr) bool { return r.Dst.String() == host(a).String() }) {
			continue
		}
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("remove the route to %s: %w", r.Dst, err)
		}
	}
	return nil
}

// defaultBy sends what has no other route to a member.
func defaultBy(m Member) error {
	link, err := netlink.LinkByName(linkTo(m))
	if err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.IP(m.Address.AsSlice()), Flags: int(netlink.FLAG_ONLINK)})
}

func host(addr netip.Addr) *net.IPNet {
	return &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())}
}
