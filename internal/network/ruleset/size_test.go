package ruleset_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables"

	"github.com/knarr-io/knarr/internal/network/nettest"
	"github.com/knarr-io/knarr/internal/network/ruleset"
)

var pods = netip.MustParsePrefix("10.0.0.0/8")

func open(t *testing.T) (*ruleset.Table, *nettest.Space) {
	t.Helper()
	space := nettest.New(t)
	table, err := ruleset.Open(ruleset.Config{Pods: pods, NetNS: space.FD()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	return table, space
}

// targets are addresses that differ for every service and number.
func targets(service, n int) []ruleset.Target {
	out := make([]ruleset.Target, n)
	for i := range out {
		k := service*4 + i
		out[i] = ruleset.Target{Addr: netip.AddrFrom4([4]byte{10, byte(k >> 16), byte(k >> 8), byte(k)}), Port: 80}
	}
	return out
}

// service adds a service to a state.
func service(s ruleset.State, number, endpoints int, sticky time.Duration) {
	chain := fmt.Sprintf("svc-%d", number)
	s.Chains[chain] = ruleset.Chain{{Balance: targets(number, endpoints), Sticky: sticky}}
	addr := netip.AddrFrom4([4]byte{172, 16, byte(number >> 8), byte(number)})
	s.Elements[ruleset.Key{Set: ruleset.Frontends, Addr: addr, Protocol: 6, Port: 80}] = chain
}

func newState() ruleset.State {
	return ruleset.State{Chains: map[string]ruleset.Chain{}, Elements: map[ruleset.Key]string{}}
}

func apply(t *testing.T, table *ruleset.Table, s ruleset.State) {
	t.Helper()
	start := time.Now()
	standing, err := table.Current()
	if err != nil {
		t.Fatal(err)
	}
	change := ruleset.Diff(standing, s)
	if err := table.Apply(change); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d chains and %d elements changed in %s", len(change.SetChains), len(change.SetKeys), time.Since(start).Round(time.Millisecond))
	if standing, err = table.Current(); err != nil {
		t.Fatal(err)
	}
	if left := ruleset.Diff(standing, s); !left.Empty() {
		t.Errorf("the kernel holds something else than was applied: %d chains to set, %d to drop, %d elements to set, %d to drop",
			len(left.SetChains), len(left.DropChains), len(left.SetKeys), len(left.DropKeys))
	}
}

// largestMap is the number of elements of the largest anonymous map.
func largestMap(t *testing.T, space *nettest.Space) int {
	t.Helper()
	conn, err := nftables.New(nftables.WithNetNSFd(space.FD()))
	if err != nil {
		t.Fatal(err)
	}
	sets, err := conn.GetSets(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: ruleset.TableName})
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for _, set := range sets {
		if !set.Anonymous {
			continue
		}
		elements, err := conn.GetSetElements(set)
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, len(elements))
	}
	return most
}

func TestServiceWithThousandsOfEndpoints(t *testing.T) {
	table, space := open(t)
	for _, n := range []int{499, 501, 1300, 5000, 1} {
		for _, sticky := range []time.Duration{0, time.Hour} {
			s := newState()
			service(s, 1, n, sticky)
			apply(t, table, s)
			if got := largestMap(t, space); got != n {
				t.Errorf("the map of a service with %d endpoints has %d elements", n, got)
			}
		}
	}
}

// Every batch must fit: services with few endpoints, and large ones among them.
func TestTenThousandServices(t *testing.T) {
	table, _ := open(t)
	s := newState()
	for i := range 10_000 {
		endpoints := 2
		if i%4000 == 0 {
			endpoints = 5000
		}
		service(s, i, endpoints, 0)
	}
	apply(t, table, s)
	one := newState()
	service(one, 17, 3, 0)
	start := time.Now()
	if err := table.Apply(ruleset.Change{SetChains: one.Chains}); err != nil {
		t.Fatal(err)
	}
	t.Logf("one service changed in %s", time.Since(start).Round(time.Microsecond))
	apply(t, table, newState())
}
