package podnet

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/knarr-io/knarr/runtime/nspace"
)

// inNode runs f in a network namespace of its own, on one thread: links that it makes vanish with it.
func inNode(t testing.TB, f func() error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces: run it as root")
	}
	dir := filepath.Join(t.TempDir(), "node")
	if err := nspace.Create(dir, []nspace.Kind{nspace.Net}, LoopbackUp); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nspace.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	if err := nspace.Do(nspace.Path(dir, nspace.Net), nspace.Net, f); err != nil {
		t.Fatal(err)
	}
}

func makePod(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pod")
	if err := nspace.Create(dir, []nspace.Kind{nspace.Net}, LoopbackUp); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nspace.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return nspace.Path(dir, nspace.Net)
}

func TestAttachDetach(t *testing.T) {
	const id = "0123456789abcdef"
	addr := netip.MustParseAddr("10.1.2.3")
	pod := makePod(t)
	inNode(t, func() error {
		if err := Attach(id, pod, addr, 1400); err != nil {
			return err
		}
		link, err := netlink.LinkByName("kn0123456789a")
		if err != nil {
			return err
		}
		if link.Attrs().MTU != 1400 || link.Attrs().HardwareAddr.String() != hostMAC.String() {
			t.Errorf("host link: %+v", link.Attrs())
		}
		routes, err := netlink.RouteGet(addr.AsSlice())
		if err != nil || len(routes) != 1 || routes[0].LinkIndex != link.Attrs().Index {
			t.Errorf("route: %v, %v", routes, err)
		}
		if err := nspace.Do(pod, nspace.Net, func() error { return checkPod(t, addr) }); err != nil {
			return err
		}
		if _, err := Stats(id); err != nil {
			t.Error(err)
		}
		if err := Attach(id, pod, addr, 0); err == nil {
			t.Error("a sandbox was attached twice")
		}
		for range 2 { // the second time there is nothing to remove
			if err := Detach(id); err != nil {
				return err
			}
		}
		if left, err := netlink.LinkList(); err != nil || len(left) != 1 {
			t.Errorf("left: %v, %v", left, err)
		}
		return nil
	})
}

// Without a size that was asked for, pods' links are as large as that by which
// the machine reaches the world.
func TestLinksAreAsLargeAsTheDefaultRoutes(t *testing.T) {
	for _, tc := range []struct{ link, want int }{{0, 1500}, {1400, 1400}, {9000, 9000}} {
		pod := makePod(t)
		inNode(t, func() error {
			if tc.link > 0 {
				if err := worldBy(tc.link); err != nil {
					return err
				}
			}
			if err := Attach("0123456789abcdef", pod, netip.MustParseAddr("10.1.2.3"), 0); err != nil {
				return err
			}
			for name, do := range map[string]func(func() error) error{"kn0123456789a": func(f func() error) error { return f() },
				podLink: func(f func() error) error { return nspace.Do(pod, nspace.Net, f) }} {
				err := do(func() error {
					link, err := netlink.LinkByName(name)
					if err == nil && link.Attrs().MTU != tc.want {
						t.Errorf("beside a link of %d bytes %s has %d, want %d", tc.link, name, link.Attrs().MTU, tc.want)
					}
					return err
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// worldBy makes a link of a size that the default route leads by.
func worldBy(mtu int) error {
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "world", MTU: mtu}, PeerName: "world2"}); err != nil {
		return err
	}
	link, err := netlink.LinkByName("world")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	addr, err := netlink.ParseAddr("192.0.2.2/24")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.IPv4(192, 0, 2, 1)})
}

func checkPod(t *testing.T, addr netip.Addr) error {
	link, err := netlink.LinkByName(podLink)
	if err != nil {
		return err
	}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil || len(addrs) != 1 || addrs[0].IPNet.String() != addr.String()+"/32" {
		t.Errorf("addresses: %v, %v", addrs, err)
	}
	neighbours, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_V4)
	if err != nil || len(neighbours) != 1 || neighbours[0].HardwareAddr.String() != hostMAC.String() || neighbours[0].State != netlink.NUD_PERMANENT {
		t.Errorf("neighbours: %v, %v", neighbours, err)
	}
	return nil
}

func BenchmarkAttachDetach(b *testing.B) {
	pod := makePod(b)
	inNode(b, func() error {
		for i := 0; b.Loop(); i++ {
			id := fmt.Sprintf("%011x", i)
			if err := Attach(id, pod, netip.MustParseAddr("10.1.2.3"), 1500); err != nil {
				return err
			}
			if err := Detach(id); err != nil {
				return err
			}
		}
		return nil
	})
}
