package proxy

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/network/ruleset"
	"github.com/knarr-io/knarr/internal/testkit/property"
)

// table is what the kernel would hold after the changes.
type table struct{ ruleset.State }

func (tb *table) apply(t *rapid.T, c ruleset.Change) {
	for key, verdict := range c.DropKeys {
		if got, ok := tb.Elements[key]; !ok || got != verdict {
			t.Fatalf("drops %v with verdict %q, the table has %q (%v)", key, verdict, got, ok)
		}
		delete(tb.Elements, key)
	}
	for key, verdict := range c.SetKeys {
		if _, ok := tb.Elements[key]; ok {
			t.Fatalf("adds %v, which is there", key)
		}
		tb.Elements[key] = verdict
	}
	maps.Copy(tb.Chains, c.SetChains)
	for name := range c.DropChains {
		delete(tb.Chains, name)
	}
}

// Whatever owners ask for in whatever order, and however many of their
// changes share a batch, the differences add up to what is wanted.
func TestChangesAddUpToTheState(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		b := newBook()
		tb := table{ruleset.State{Chains: map[string]ruleset.Chain{}, Elements: map[ruleset.Key]string{}}}
		for range rapid.IntRange(1, 20).Draw(t, "batches") {
			change := newChange()
			for range rapid.IntRange(1, 4).Draw(t, "owners") {
				o := owner{name: rapid.StringMatching("[abc]").Draw(t, "owner")}
				change = b.set(o, draw(t, o), change)
			}
			tb.apply(t, change)
			if diff := cmp.Diff(b.state(), tb.State, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Fatalf("(-want +have):\n%s", diff)
			}
		}
	})
}

func draw(t *rapid.T, o owner) Rendered {
	r := newRendered()
	for i := range rapid.IntRange(0, 3).Draw(t, "elements") {
		// Keys overlap between owners, chains do not.
		chain := fmt.Sprintf("svc-%s%d", o.name, i)
		r.Chains[chain] = ruleset.Chain{{Balance: []ruleset.Target{{Addr: netip.MustParseAddr("10.0.0.1"), Port: rapid.Uint16Range(1, 3).Draw(t, "port")}}}}
		r.Elements[ruleset.Key{Set: ruleset.NodePorts, Port: rapid.Uint16Range(1, 4).Draw(t, "key")}] = chain
		r.Ready[netip.MustParseAddr("10.0.0.1")] = true
	}
	return r
}
