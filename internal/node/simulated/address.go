package simulated

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// The networks that addresses are made up in: neither is routed anywhere, and
// neither is what people give their own machines (RFC 2544 and RFC 6598).
var (
	nodeNetwork = netip.AddrFrom4([4]byte{198, 18, 0, 0})
	podNetwork  = netip.AddrFrom4([4]byte{100, 64, 0, 0})
)

// podsOfNode is how many addresses a node has for pods; 1 to 254 are given.
const podsOfNode = 256

// plus is the address at a distance.
func plus(a netip.Addr, n int) netip.Addr {
	b := a.As4()
	for i := 3; i >= 0; i-- {
		n += int(b[i])
		b[i], n = byte(n), n>>8
	}
	return netip.AddrFrom4(b)
}

// address is the node's own.
func (n *node) address() netip.Addr { return plus(nodeNetwork, n.index+1) }

// podRange is the node's part of the pods' network.
func (n *node) podRange() netip.Prefix {
	return netip.PrefixFrom(plus(podNetwork, n.index*podsOfNode), 24)
}

// nextPodAddress gives addresses in turn, so that one rests before it is given
// again. One that a pod holds is passed over while there is another.
func (n *node) nextPodAddress() netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	last := 0
	for range podsOfNode - 2 {
		last = n.mu.addresses%(podsOfNode-2) + 1
		n.mu.addresses++
		if !n.mu.held[last] {
			break
		}
	}
	return plus(n.podRange().Addr(), last)
}

// addressesChanged notes which addresses pods hold: also those that a fleet
// before this one gave.
func (f *Fleet) addressesChanged(old, new *corev1.Pod) {
	holds := new != nil && new.Status.Phase != corev1.PodSucceeded && new.Status.Phase != corev1.PodFailed
	if old != nil && !(holds && new.Status.PodIP == old.Status.PodIP) {
		f.hold(old, false)
	}
	if holds {
		f.hold(new, true)
	}
}

func (f *Fleet) hold(pod *corev1.Pod, held bool) {
	n := f.nodes[pod.Spec.NodeName]
	address, err := netip.ParseAddr(pod.Status.PodIP)
	if n == nil || err != nil || !n.podRange().Contains(address) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.held[address.As4()[3]] = held
}
