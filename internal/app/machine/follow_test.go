package machine

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/knarr-io/knarr/internal/network/nettest"
)

// The address is told at first and when it has become another one; a machine
// without any keeps its last.
func TestFollow(t *testing.T) {
	t.Parallel()
	space := nettest.New(t)
	space.Node("192.0.2.1")
	told := make(chan netip.Addr)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- space.Try(func() error {
			return Follow(ctx, NodeAddress, func(a netip.Addr) {
				select {
				case told <- a:
				case <-ctx.Done():
				}
			})
		})
	}()
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-told:
			if got.String() != want {
				t.Fatalf("told %s, want %s", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("not told of %s", want)
		}
	}
	expect("192.0.2.1")
	space.Do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		old, err := netlink.ParseAddr("192.0.2.1/32")
		if err != nil {
			return err
		}
		return netlink.AddrDel(lo, old)
	})
	space.Node("192.0.2.2")
	expect("192.0.2.2")
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
