package peers

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// pause holds up who writes the message first, until it is resumed.
type pause struct {
	slog.Handler
	at              string
	once            *sync.Once
	reached, resume chan struct{}
}

func (p pause) Enabled(context.Context, slog.Level) bool { return true }

func (p pause) Handle(_ context.Context, r slog.Record) error {
	if r.Message == p.at {
		p.once.Do(func() {
			close(p.reached)
			<-p.resume
		})
	}
	return nil
}

// The kernel tells of more routes at a time than are read, and drops what it
// would have told. What is noticed late is noticed: a way that came meanwhile,
// and those that come later.
func TestLostChangesAreMadeUpFor(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
	busy := pause{slog.DiscardHandler, "the pods of a node cannot be routed now", new(sync.Once), make(chan struct{}), make(chan struct{})}
	first := station{name: "first", address: firstAddress, pods: "10.1.1.0/24", log: slog.New(busy)}.open(t)
	other := station{name: "other", address: "198.51.100.2", pods: "10.1.3.0/24"}.open(t)
	aRouterApart(t, first, other)
	first.join(t, c)
	other.register(t, c)
	await.Until(t, soon, "the other node is reached through the tunnel", func() bool { return isTunnelled(first.space, other.pods) })

	(&station{name: "stuck", address: "10.9.9.9", pods: "10.1.9.0/24", behind: "nobody"}).register(t, c)
	<-busy.reached
	flood(t, first)
	first.onLink(other.address)
	close(busy.resume)
	await.Until(t, soon, "a way that came while changes were lost is gone", func() bool {
		return isRouted(first.space, other.pods) && !isTunnelled(first.space, other.pods)
	})
	first.space.Do(func() error {
		return netlink.RouteDel(&netlink.Route{Dst: host(other.address), Scope: netlink.SCOPE_LINK})
	})
	await.Until(t, soon, "a change after those that were lost is noticed", func() bool { return isTunnelled(first.space, other.pods) })
}

// Who removes routes that they did not make cuts no node off.
func TestARouteThatSomebodyRemovedIsPutBack(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
	first := station{name: "first", address: firstAddress, pods: "10.1.1.0/24"}.open(t)
	other := station{name: "other", address: "192.0.2.3", pods: "10.1.3.0/24"}.open(t)
	oneLink(t, first, other)
	first.join(t, c)
	other.register(t, c)
	routed := func() bool { return isRouted(first.space, other.pods) }
	await.Until(t, soon, "the other node is routed", routed)
	first.space.Do(func() error { return unroute(netip.MustParsePrefix(other.pods)) })
	await.Until(t, soon, "the other node is routed again", routed)
}

// flood makes more routes than the socket of a watcher has room for.
func flood(t *testing.T, s *station) {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/net/core/rmem_default")
	if err != nil {
		t.Fatal(err)
	}
	room, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	const least = 256 // of the room, for each message
	s.space.Do(func() error {
		for i := range room/least + 1000 {
			to := &net.IPNet{IP: net.IPv4(10, 200, byte(i>>8), byte(i)), Mask: net.CIDRMask(32, 32)}
			if err := netlink.RouteReplace(&netlink.Route{Dst: to, LinkIndex: 1, Scope: netlink.SCOPE_LINK}); err != nil {
				return err
			}
		}
		return nil
	})
}

// onLink tells that an address is on the link that leads to the router.
func (s *station) onLink(address string) {
	s.space.Do(func() error {
		link, err := netlink.LinkByName("to192021")
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: host(address), Scope: netlink.SCOPE_LINK})
	})
}

func host(address string) *net.IPNet {
	return &net.IPNet{IP: net.ParseIP(address).To4(), Mask: net.CIDRMask(32, 32)}
}
