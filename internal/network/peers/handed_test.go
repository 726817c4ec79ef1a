package peers

import (
	"testing"

	"github.com/knarr-io/knarr/internal/network/nettest"
)

// A node that goes takes along nothing that another one has by now: its address,
// where the machine joined anew by another name, or its range, which was given
// again. The one that goes may be heard of last.
func TestANodeThatGoesTakesNothingOfOthers(t *testing.T) {
	for name, former := range map[string]Peer{
		"its address": peerOf(peerB.Address.String(), "10.1.9.0/24"),
		"its range":   peerOf("198.51.100.7", peerB.Ranges[0].String()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := nettest.New(t), nettest.New(t)
			a.Node("192.0.2.9")
			b.Node("198.51.100.9")
			between := nettest.New(t)
			between.Node("203.0.113.9")
			wire(t, a, peerA.Address.String(), between, "192.0.2.1")
			wire(t, b, peerB.Address.String(), between, "198.51.100.1")
			gateway(t, a, "192.0.2.1")
			gateway(t, b, "198.51.100.1")
			podA, podB := a.Pod("10.1.1.5"), b.Pod("10.1.2.5")
			podB.Answer(80, "b")

			b.Do(func() error { return routerOf(peerB, Auto).change("a", Peer{}, peerA) })
			r := routerOf(peerA, Auto)
			a.Do(func() error { return r.change("former", Peer{}, former) })
			r.applied = map[string]Peer{"former": former}
			a.Do(func() error { return r.change("b", Peer{}, peerB) })
			r.applied["b"] = peerB
			asked(t, podA, "10.1.2.5:80", "b 10.1.1.5")
			a.Do(func() error { return r.change("former", former, Peer{}) })
			asked(t, podA, "10.1.2.5:80", "b 10.1.1.5")
		})
	}
}

// Where tunnels are off by now, what led through one is left to others.
func TestRoutesGoWhenTunnelsAreTurnedOff(t *testing.T) {
	a := nettest.New(t)
	wire(t, a, peerA.Address.String(), nettest.New(t), "192.0.2.1")
	gateway(t, a, "192.0.2.1")
	a.Do(func() error { return routerOf(peerA, Auto).change("b", Peer{}, peerB) })
	if !isRouted(a, peerB.Ranges[0].String()) {
		t.Error("the node is not routed")
	}
	a.Do(func() error { return routerOf(peerA, Never).change("b", Peer{}, peerB) })
	if isRouted(a, peerB.Ranges[0].String()) {
		t.Error("the node is routed although tunnels are off")
	}
}
