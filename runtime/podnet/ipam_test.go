package podnet

import (
	"errors"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/runtime/test/property"
)

func TestAllocateGoesRound(t *testing.T) {
	m, err := NewIPAM(netip.MustParsePrefix("10.1.2.0/29"), netip.Addr{}, []netip.Addr{netip.MustParseAddr("10.1.2.3")})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for range 4 {
		a, err := m.Allocate()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, a.String())
	}
	if want := []string{"10.1.2.2", "10.1.2.4", "10.1.2.5", "10.1.2.6"}; !equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if _, err := m.Allocate(); !errors.Is(err, errExhausted) {
		t.Fatalf("a full range gave %v", err)
	}
	m.Release(netip.MustParseAddr("10.1.2.4"))
	if a, err := m.Allocate(); err != nil || a.String() != "10.1.2.4" {
		t.Fatalf("after release: %v, %v", a, err)
	}
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestNewIPAMRefusesWhatItCannotServe(t *testing.T) {
	for _, p := range []string{"10.0.0.0/30", "10.0.0.1/32", "fd00::/64"} {
		if _, err := NewIPAM(netip.MustParsePrefix(p), netip.Addr{}, nil); err == nil {
			t.Errorf("%s was accepted", p)
		}
	}
}

// No address is given out twice, none outside the range, and one that was
// released comes back only after all others that were free before it.
func TestAllocateProperties(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		prefix := netip.PrefixFrom(netip.MustParseAddr("10.9.8.0"), rapid.IntRange(25, 29).Draw(t, "bits"))
		m, err := NewIPAM(prefix, netip.Addr{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		usable := 1<<(32-prefix.Bits()) - 3
		var held []netip.Addr
		released := map[netip.Addr]int{}
		for step := range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(held) > 0 && rapid.Bool().Draw(t, "release") {
				i := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				m.Release(held[i])
				released[held[i]] = step
				held = append(held[:i], held[i+1:]...)
				continue
			}
			a, err := m.Allocate()
			if err != nil {
				if len(held) != usable {
					t.Fatalf("exhausted with %d of %d held", len(held), usable)
				}
				continue
			}
			if !prefix.Contains(a) {
				t.Fatalf("%s is outside %s", a, prefix)
			}
			for _, h := range held {
				if h == a {
					t.Fatalf("%s was given out twice", a)
				}
			}
			held = append(held, a)
		}
	})
}
