package peers

import (
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/knarr-io/knarr/internal/network/nettest"
)

// The test's nodes: a and b with a router between them, a and c on one link.
var (
	peerA = peerOf("192.0.2.2", "10.1.1.0/24")
	peerB = peerOf("198.51.100.2", "10.1.2.0/24")
	peerC = peerOf("203.0.113.3", "10.1.3.0/24")
)

func peerOf(address, pods string) Peer {
	return Peer{Address: netip.MustParseAddr(address), Ranges: ranges(pods)}
}

func ranges(texts ...string) (out []netip.Prefix) {
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// wire links two namespaces.
func wire(t *testing.T, a *nettest.Space, aAddr string, b *nettest.Space, bAddr string) {
	t.Helper()
	name := "to" + strings.ReplaceAll(bAddr, ".", "")[:6]
	back := "to" + strings.ReplaceAll(aAddr, ".", "")[:6]
	up := func(link, addr string) func() error {
		return func() error {
			l, err := netlink.LinkByName(link)
			if err != nil {
				return err
			}
			parsed, err := netlink.ParseAddr(addr + "/24")
			if err != nil {
				return err
			}
			if err := netlink.AddrAdd(l, parsed); err != nil {
				return err
			}
			return netlink.LinkSetUp(l)
		}
	}
	a.Do(func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, MTU: 1400}, PeerName: back, PeerMTU: 1400, PeerNamespace: netlink.NsFd(b.FD())})
	})
	a.Do(up(name, aAddr))
	b.Do(up(back, bAddr))
}

func gateway(t *testing.T, s *nettest.Space, addr string) {
	t.Helper()
	s.Do(func() error { return netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(addr)}) })
}

func routerOf(p Peer, mode Mode) *router {
	return &router{mode: mode, address: p.Address, ways: map[string]way{}, logger: slog.New(slog.DiscardHandler),
		peer: func(string) Peer { return p }}
}

// apply has each node know the other.
func apply(t *testing.T, mode Mode, a *nettest.Space, pa Peer, b *nettest.Space, pb Peer) {
	t.Helper()
	a.Do(func() error { return routerOf(pa, mode).change("b", Peer{}, pb) })
	b.Do(func() error { return routerOf(pb, mode).change("a", Peer{}, pa) })
}

func asked(t *testing.T, from *nettest.Space, address, want string) {
	t.Helper()
	if got, err := from.Ask(address); err != nil || got != want {
		t.Errorf("%s answers %q, %v; want %q", address, got, err, want)
	}
}

func hasTunnel(s *nettest.Space) bool {
	return s.Try(func() error { _, err := netlink.LinkByName(tunnelLink); return err }) == nil
}

func TestPodsOfNodesWithoutACommonLink(t *testing.T) {
	a, b, between := nettest.New(t), nettest.New(t), nettest.New(t)
	for _, n := range []struct {
		s    *nettest.Space
		addr string
	}{{a, "192.0.2.9"}, {b, "198.51.100.9"}, {between, "203.0.113.9"}} {
		n.s.Node(n.addr)
	}
	wire(t, a, peerA.Address.String(), between, "192.0.2.1")
	wire(t, b, peerB.Address.String(), between, "198.51.100.1")
	gateway(t, a, "192.0.2.1")
	gateway(t, b, "198.51.100.1")
	podA, podB := a.Pod("10.1.1.5"), b.Pod("10.1.2.5")
	podB.Answer(80, "b")

	apply(t, Never, a, peerA, b, peerB)
	if hasTunnel(a) {
		t.Error("a tunnel was made although tunnels are off")
	}
	apply(t, Auto, a, peerA, b, peerB)
	asked(t, podA, "10.1.2.5:80", "b 10.1.1.5")
	asked(t, a, "10.1.2.5:80", "b 10.1.1.1")
	a.Do(func() error {
		link, err := netlink.LinkByName(tunnelLink)
		if err == nil && link.Attrs().MTU != 1400-tunnelRoom {
			t.Errorf("the tunnel takes packets of %d bytes, want %d", link.Attrs().MTU, 1400-tunnelRoom)
		}
		return err
	})
	a.Do(func() error { return routerOf(peerA, Auto).change("b", peerB, Peer{}) })
	if got, err := podA.Probe("10.1.2.5:80"); err == nil {
		t.Errorf("a node that is gone answers %q", got)
	}
	a.Do(Remove)
	a.Do(Remove)
	if hasTunnel(a) {
		t.Error("the tunnel stays")
	}
}

func TestPodsOfNodesOnOneLink(t *testing.T) {
	a, c := nettest.New(t), nettest.New(t)
	a.Node("192.0.2.9")
	c.Node("192.0.2.8")
	own := peerOf("203.0.113.2", "10.1.1.0/24")
	wire(t, a, own.Address.String(), c, peerC.Address.String())
	podA, podC := a.Pod("10.1.1.5"), c.Pod("10.1.3.5")
	podC.Answer(80, "c")
	apply(t, Auto, a, own, c, peerC)
	asked(t, podA, "10.1.3.5:80", "c 10.1.1.5")
	if hasTunnel(a) {
		t.Error("a tunnel was made although the nodes share a link")
	}
	apply(t, Always, a, own, c, peerC)
	asked(t, podA, "10.1.3.5:80", "c 10.1.1.5")
	if !hasTunnel(a) {
		t.Error("no tunnel was made although it was asked for")
	}
}
