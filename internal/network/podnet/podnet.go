package podnet

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/network/policy/kernel"
	"github.com/knarr-io/knarr/internal/network/ruleset"
)

// routeProtocol marks routes as ours, so that they are found again.
const routeProtocol = netlink.RouteProtocol(0x6b) // 'k'

// Config describes the node's place in the cluster's networks.
type Config struct {
	// Node is the address by which other nodes and pods reach this node.
	Node netip.Addr
	// Pods is the pod network of the whole cluster, Services the service
	// network.
	Pods, Services netip.Prefix
	// Local are service addresses that the node answers itself (the cluster
	// DNS): they are put on the loopback link.
	Local []netip.Addr
	// Lone is the address of a machine that has no other: it lies on the loopback
	// link as long as it is Node's.
	Lone netip.Addr
	// Forwarded are further networks whose packets pass through the machine:
	// those of nodes that live behind it.
	Forwarded []netip.Prefix
	// StateDir holds what has to be restored.
	StateDir string
	Logger   *slog.Logger
}

func (c Config) settings() settings {
	return settings{root: "/proc/sys", file: filepath.Join(c.StateDir, "sysctl.json"), shared: "/run/knarr-limits"}
}

// Setup prepares the node. It may be called again at any time.
func Setup(c Config) error {
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return fmt.Errorf("pod network: %w", err)
	}
	if err := c.settings().raise(); err != nil {
		return fmt.Errorf("pod network: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("pod network: find the loopback link: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("pod network: bring the loopback link up: %w", err)
	}
	for _, addr := range c.Local {
		// Host scope: the kernel must not take it as the source of other traffic.
		a := &netlink.Addr{IPNet: single(addr), Scope: unix.RT_SCOPE_HOST}
		if err := netlink.AddrReplace(lo, a); err != nil {
			return fmt.Errorf("pod network: put %s on the loopback link: %w", addr, err)
		}
	}
	if err := c.settle(lo); err != nil {
		return fmt.Errorf("pod network: the address of a machine without any: %w", err)
	}
	for _, route := range c.routes(lo) {
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("pod network: route %s: %w", route.Dst, err)
		}
	}
	return admit(c)
}

// settle puts the lone address on the loopback link, or takes it away.
func (c Config) settle(lo netlink.Link) error {
	switch c.Lone {
	case netip.Addr{}:
		return nil
	case c.Node:
		return netlink.AddrReplace(lo, &netlink.Addr{IPNet: single(c.Lone)})
	}
	err := netlink.AddrDel(lo, &netlink.Addr{IPNet: single(c.Lone)})
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil
	}
	return err
}

// routes keep cluster addresses on the machine: a pod address without a pod
// is unreachable instead of being sent to the default gateway, and a service
// address is routed at all where there is no default route. Services are
// translated before a packet could get to the loopback link.
func (c Config) routes(lo netlink.Link) []*netlink.Route {
	out := []*netlink.Route{
		{Dst: prefix(c.Pods), Type: unix.RTN_UNREACHABLE, Protocol: routeProtocol, Priority: 4096},
		{Dst: prefix(c.Services), LinkIndex: lo.Attrs().Index, Src: net.IP(c.Node.AsSlice()), Scope: netlink.SCOPE_LINK,
			Protocol: routeProtocol, Priority: 4096},
	}
	for _, network := range c.Forwarded { // a node that is gone is no matter of the default gateway
		out = append(out, &netlink.Route{Dst: prefix(network), Type: unix.RTN_UNREACHABLE, Protocol: routeProtocol, Priority: 4096})
	}
	return out
}

// Remove undoes Setup and removes the nftables tables. Errors are joined: as
// much as possible is undone.
func Remove(c Config) error {
	failed := []error{ruleset.Remove(0), kernel.Remove(0), dismiss(c), removeRoutes(), c.settings().restore()}
	lo, err := netlink.LinkByName("lo")
	failed = append(failed, err)
	local := slices.Clone(c.Local)
	if c.Lone.IsValid() {
		local = append(local, c.Lone)
	}
	for _, addr := range local {
		if lo == nil {
			break
		}
		err := netlink.AddrDel(lo, &netlink.Addr{IPNet: single(addr)})
		if !errors.Is(err, unix.EADDRNOTAVAIL) {
			failed = append(failed, err)
		}
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("pod network: %w", err)
	}
	return nil
}

func removeRoutes() error {
	ours, err := netlink.RouteListFiltered(unix.AF_INET, &netlink.Route{Protocol: routeProtocol}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	var failed []error
	for _, route := range ours {
		if err := netlink.RouteDel(&route); err != nil && !errors.Is(err, unix.ESRCH) {
			failed = append(failed, fmt.Errorf("remove route %s: %w", route.Dst, err))
		}
	}
	return errors.Join(failed...)
}

func single(addr netip.Addr) *net.IPNet {
	return prefix(netip.PrefixFrom(addr, addr.BitLen()))
}

func prefix(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: net.IP(p.Masked().Addr().AsSlice()), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
