package netspace

import (
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/knarr-io/knarr/internal/network/nettest"
)

// When the first member sends from another address, the others reach that one
// straight, and the former one, which may be another machine's now, by the way
// to the world.
func TestMeshFollowsAnAddress(t *testing.T) {
	first, inner := nettest.New(t), filepath.Join(t.TempDir(), "net")
	if err := Ensure(inner); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Remove(inner); err != nil {
			t.Error(err)
		}
	})
	addresses := []string{"192.0.2.2", "192.0.2.3"}
	for _, a := range addresses {
		first.Node(a)
	}
	for i, now := range addresses {
		former := addresses[1-i]
		members := []Member{{Number: 1, Address: netip.MustParseAddr("10.245.0.1"), Source: netip.MustParseAddr(now)},
			{Number: 2, Path: inner, Address: netip.MustParseAddr("10.245.0.2"), Source: netip.MustParseAddr("10.245.0.2")}}
		for range 2 { // it may be called at any time
			first.Do(func() error { return Mesh(members, 1400) })
		}
		ways := map[string]string{now: "", "10.245.0.1": "", former: "10.245.0.1"}
		err := Do(inner, func() error {
			for to, by := range ways {
				routes, err := netlink.RouteGet(netip.MustParseAddr(to).AsSlice())
				if err != nil {
					return err
				}
				if gateway := routes[0].Gw; by == "" && gateway != nil || by != "" && gateway.String() != by {
					t.Errorf("first sends from %s: %s is reached by %v, want %q", now, to, gateway, by)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
