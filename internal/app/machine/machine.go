// Package machine tells what a node needs to know of the machine it is on:
// its name, the address that others reach it by, and free ports.
package machine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/base/remedy"
)

// NodeName is the machine's host name as a node's name: lower case.
func NodeName() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("read the host name: %w", err)
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || name == "localhost" {
		return "", remedy.New("the machine has no host name", "give it a name with --node-name")
	}
	return name, nil
}

// NodeAddress is the IPv4 address that the machine is reached by: the source
// of its default route, else the first global address of a link that is up.
func NodeAddress() (netip.Addr, error) {
	// Asking for the route to a public address sends nothing.
	routes, err := netlink.RouteGet(net.IPv4(192, 0, 2, 254))
	if err == nil {
		for _, r := range routes {
			if addr, ok := netip.AddrFromSlice(r.Src.To4()); ok && usable(addr) {
				return addr, nil
			}
		}
	}
	addrs, err := netlink.AddrList(nil, unix.AF_INET)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("list the machine's addresses: %w", err)
	}
	lone := netip.Addr{}
	for _, a := range addrs {
		addr, ok := netip.AddrFromSlice(a.IP.To4())
		switch {
		case !ok || !usable(addr) || a.Scope == unix.RT_SCOPE_HOST: // for this machine's own talk, as the cluster DNS's
		case a.LinkIndex != loopback:
			return addr, nil
		case !lone.IsValid():
			lone = addr
		}
	}
	if !lone.IsValid() {
		return netip.Addr{}, ErrNoAddress
	}
	return lone, nil
}

// loopback is the index of every network namespace's first link.
const loopback = 1

// ErrNoAddress: the machine has no network now.
var ErrNoAddress = remedy.New("the machine has no IPv4 address besides loopback", "give one with --node-address")

// AddressTowards is the IPv4 address that this machine sends from to a host.
func AddressTowards(host string) (netip.Addr, error) {
	// Connecting UDP looks for a route and sends nothing.
	conn, err := net.Dial("udp4", net.JoinHostPort(host, "9"))
	if err != nil {
		return netip.Addr{}, remedy.For(fmt.Errorf("there is no way to %s: %w", host, err), "look at this machine's network, and whether the server's name and address are right")
	}
	defer conn.Close()
	addr := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
	if !usable(addr) {
		return netip.Addr{}, remedy.New(fmt.Sprintf("this machine would talk to %s from %s, where nobody reaches it", host, addr), "give its address with --node-address")
	}
	return addr, nil
}

func usable(a netip.Addr) bool { return a.IsGlobalUnicast() && !a.IsLoopback() }

// portsToTry bounds the search for a free port.
const portsToTry = 100

// FreePort is the first TCP port from the wanted one on that nobody listens on.
func FreePort(wanted int, taken func(int) bool) (int, error) {
	for port := wanted; port < wanted+portsToTry && port <= 65535; port++ {
		if taken(port) {
			continue
		}
		l, err := net.Listen("tcp4", fmt.Sprintf(":%d", port))
		if err == nil {
			return port, l.Close()
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return 0, fmt.Errorf("try port %d: %w", port, err)
		}
	}
	return 0, fmt.Errorf("ports %d to %d are all taken", wanted, min(wanted+portsToTry-1, 65535))
}
