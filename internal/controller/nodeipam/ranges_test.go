package nodeipam

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

// TestRangesNeverOverlap: whatever is taken, freed and found taken, no range
// is handed out twice, all are parts of the network, and it is full only when
// every one is taken.
func TestRangesNeverOverlap(t *testing.T) {
	networks := []struct {
		network string
		parts   int
	}{{"10.244.0.0/20", 24}, {"10.0.0.0/16", 24}, {"192.168.7.0/24", 28}, {"fd00:1::/60", 64}, {"10.1.2.0/24", 24}}
	property.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom(networks).Draw(t, "network")
		network := netip.MustParsePrefix(n.network)
		r, err := newRanges(network, n.parts)
		if err != nil {
			t.Fatal(err)
		}
		taken := map[netip.Prefix]bool{}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			if len(taken) > 0 && rapid.IntRange(0, 2).Draw(t, "free") == 0 {
				for p := range taken {
					r.free(p)
					delete(taken, p)
					break
				}
				continue
			}
			p, err := r.take()
			if err != nil {
				if len(taken) != r.count {
					t.Fatalf("full with %d of %d taken", len(taken), r.count)
				}
				continue
			}
			if taken[p] || p.Bits() != n.parts || !network.Contains(p.Addr()) || p.Masked() != p {
				t.Fatalf("handed out %s", p)
			}
			taken[p] = true
		}
		again, err := newRanges(network, n.parts)
		if err != nil {
			t.Fatal(err)
		}
		for p := range taken {
			if !again.occupy(p) {
				t.Fatalf("%s is not recognized", p)
			}
		}
		if p, err := again.take(); err == nil && taken[p] {
			t.Fatalf("%s was handed out although it is occupied", p)
		}
	})
}

func TestStrangeRanges(t *testing.T) {
	for _, c := range []struct {
		network string
		parts   int
	}{{"10.0.0.0/24", 16}, {"10.0.0.0/8", 33}, {"fd00::/16", 64}} {
		if _, err := newRanges(netip.MustParsePrefix(c.network), c.parts); err == nil {
			t.Errorf("%s into /%d was accepted", c.network, c.parts)
		}
	}
	r, err := newRanges(netip.MustParsePrefix("10.0.0.0/16"), 24)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"10.1.0.0/24", "10.0.0.0/25", "fd00::/24"} {
		if r.occupy(netip.MustParsePrefix(p)) {
			t.Errorf("%s was taken for a part of the network", p)
		}
	}
}
