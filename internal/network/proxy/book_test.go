package proxy

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
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
		r.Ready[netip.MustParseAddr("10.0.0.1")] = struct{}{}
	}
	return r
}

// A pod that goes leaves no flows of its host ports, whether they are for every
// address of the node or for one.
func TestFlowsOfHostPortsEnd(t *testing.T) {
	pod := &corev1.Pod{Status: corev1.PodStatus{PodIP: podA}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{
		{HostPort: 514, ContainerPort: 5514, Protocol: corev1.ProtocolUDP},
		{HostPort: 515, ContainerPort: 5515, Protocol: corev1.ProtocolUDP, HostIP: nodeIP},
		{HostPort: 516, ContainerPort: 5516, Protocol: corev1.ProtocolTCP},
	}}}}}
	flow := func(port, target uint16) Flow {
		return Flow{To: netip.AddrPortFrom(netip.MustParseAddr(nodeIP), port), By: netip.AddrPortFrom(netip.MustParseAddr(podA), target)}
	}
	b, o := newBook(), owner{pod: true, name: "a"}
	b.set(o, RenderHostPorts(pod), newChange())
	for step, want := range []bool{false, true} {
		for _, f := range []Flow{flow(514, 5514), flow(515, 5515)} {
			if got := b.gone(f); got != want {
				t.Errorf("step %d: the flow %v is gone: %v, want %v", step, f, got, want)
			}
		}
		if b.gone(flow(516, 5516)) {
			t.Errorf("step %d: a flow to a port of TCP is gone", step)
		}
		b.set(o, newRendered(), newChange())
	}
}
