package peers

import (
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/network/nettest"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// The first node of a machine gets another address, as from DHCP. Its process
// starts anew; the node behind it and the machine that joined follow it, also
// where the node behind it hears of the address before its link leads there.
func TestFirstNodeMoves(t *testing.T) {
	const to = "192.0.2.77"
	for name, lay := range map[string]struct {
		other      string
		link       func(*testing.T, *station, *station)
		moves, via string // the link that gets the address, and the way to the world
	}{
		"one link":       {other: "192.0.2.3", moves: "to192023", link: oneLink},
		"a router apart": {other: "198.51.100.2", moves: "to192021", via: "192.0.2.1", link: aRouterApart},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
			first := station{name: "first", address: firstAddress, pods: "10.1.1.0/24"}.open(t)
			inner := station{name: "inner", address: innerAddress, pods: "10.1.2.0/24", behind: "first"}.open(t)
			other := station{name: "other", address: lay.other, pods: "10.1.3.0/24"}.open(t)
			lay.link(t, first, other)
			within(t, first, inner)
			first.register(t, c)
			stop := first.follow(t, c)
			inner.join(t, c)
			other.join(t, c)
			reachEachOther(t, first, inner, other)
			stop()
			old := first.address
			readdress(first.space, lay.moves, old, to)
			if lay.via != "" {
				gateway(t, first.space, lay.via) // it went with the link's last address
			}
			first.address = to
			first.tell(t, c)
			await.Until(t, soon, "the node behind has heard of the address", func() bool {
				return isTunnelled(inner.space, first.pods) && isTunnelled(inner.space, other.pods)
			})
			inner.onLinkOf(first.address)
			t.Cleanup(first.follow(t, c))
			reachEachOther(t, first, inner, other)
			await.Until(t, soon, "the node behind gives up the tunnel to the machine that it is on", func() bool {
				return !isTunnelled(inner.space, first.pods) && !isTunnelled(inner.space, other.pods)
			})
			await.Until(t, soon, "the machine that joined forgets the old address", func() bool { return !strings.Contains(farEnds(other.space), old+" ") })
		})
	}
}

// readdress gives a link another address in place of the one that it has.
func readdress(s *nettest.Space, link, from, to string) {
	s.Do(func() error {
		l, err := netlink.LinkByName(link)
		if err != nil {
			return err
		}
		for _, change := range []struct {
			address string
			do      func(netlink.Link, *netlink.Addr) error
		}{{from, netlink.AddrDel}, {to, netlink.AddrAdd}} {
			a, err := netlink.ParseAddr(change.address + "/24")
			if err != nil {
				return err
			}
			if err := change.do(l, a); err != nil {
				return err
			}
		}
		return nil
	})
}

// isTunnelled tells whether a node sends what is for a network into its tunnel.
func isTunnelled(s *nettest.Space, network string) (tunnelled bool) {
	s.Do(func() error {
		link, err := netlink.LinkByName(tunnelLink)
		if err != nil {
			return nil // it has none
		}
		routes, err := netlink.RouteListFiltered(unix.AF_INET, &netlink.Route{LinkIndex: link.Attrs().Index}, netlink.RT_FILTER_OIF)
		for _, r := range routes {
			tunnelled = tunnelled || r.Dst != nil && r.Dst.String() == network
		}
		return err
	})
	return tunnelled
}

// farEnds are the nodes that a node's tunnel leads to, a space behind each.
func farEnds(s *nettest.Space) (out string) {
	s.Do(func() error {
		link, err := netlink.LinkByName(tunnelLink)
		if err != nil {
			return nil // it has none
		}
		ends, err := netlink.NeighList(link.Attrs().Index, unix.AF_BRIDGE)
		for _, e := range ends {
			out += e.IP.String() + " "
		}
		return err
	})
	return out
}
