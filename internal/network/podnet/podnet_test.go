package podnet

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/network/nettest"
)

func config(t *testing.T) Config {
	return Config{
		Node: netip.MustParseAddr("192.0.2.77"), Pods: netip.MustParsePrefix("10.244.0.0/16"), Services: netip.MustParsePrefix("10.96.0.0/16"),
		Local: []netip.Addr{netip.MustParseAddr("10.96.0.10")}, StateDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler),
	}
}

// picture is all that Setup may change.
func picture(t *testing.T) []string {
	t.Helper()
	forward, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	if err != nil {
		t.Fatal(err)
	}
	out := []string{"ip_forward=" + strings.TrimSpace(string(forward))}
	routes, err := netlink.RouteList(nil, unix.AF_INET)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		out = append(out, "route "+r.String())
	}
	addrs, err := netlink.AddrList(nil, unix.AF_INET)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		out = append(out, "addr "+a.IPNet.String())
	}
	slices.Sort(out)
	return out
}

func TestRemoveLeavesTheMachineAsItWas(t *testing.T) {
	space := nettest.New(t)
	cfg := config(t)
	space.Do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(lo, &netlink.Addr{IPNet: single(cfg.Node)}); err != nil {
			return err
		}
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("0"), 0); err != nil {
			return err
		}
		before := picture(t)
		for range 2 { // a second time changes nothing
			if err := Setup(cfg); err != nil {
				return err
			}
		}
		during := picture(t)
		if !slices.Contains(during, "ip_forward=1") || !slices.Contains(during, "addr 10.96.0.10/32") || len(during) < len(before)+3 {
			t.Errorf("set up, but the machine shows only:\n%s", strings.Join(during, "\n"))
		}
		if err := Remove(cfg); err != nil {
			return err
		}
		if after := picture(t); !slices.Equal(before, after) {
			t.Errorf("before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
		}
		return Remove(cfg) // nothing left is no error
	})
}

func TestDockersFirewallIsAskedAndAskedBack(t *testing.T) {
	space := nettest.New(t)
	cfg := config(t)
	space.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "filter"})
		chain := conn.AddChain(&nftables.Chain{Table: table, Name: "DOCKER-USER"})
		if err := conn.Flush(); err != nil {
			return err
		}
		count := func() int {
			rules, err := conn.GetRules(table, chain)
			if err != nil {
				t.Fatal(err)
			}
			return len(rules)
		}
		for range 2 {
			if err := admit(cfg); err != nil {
				return err
			}
			if got := count(); got != 2 {
				t.Errorf("%d rules in Docker's chain, want 2", got)
			}
		}
		if err := dismiss(cfg); err != nil {
			return err
		}
		if got := count(); got != 0 {
			t.Errorf("%d rules left in Docker's chain", got)
		}
		return nil
	})
}

func TestDamagedStateFileIsRefused(t *testing.T) {
	s := settings{root: t.TempDir(), file: filepath.Join(t.TempDir(), "sysctl.json"), shared: filepath.Join(t.TempDir(), "limits")}
	if err := os.WriteFile(s.file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.restore(); err == nil || !strings.Contains(err.Error(), s.file) {
		t.Errorf("the error should name the file, got %v", err)
	}
}
