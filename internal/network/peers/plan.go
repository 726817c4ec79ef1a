package peers

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api/simulated"
)

// Behind is the annotation of a node that only the other nodes of its machine
// reach directly: the name of the one among them that all others reach it by.
const Behind = "knarr.io/behind"

// Peer is another node: where it is, behind which node if behind any, and
// which pods it has. It is comparable by Equal.
type Peer struct {
	Address netip.Addr
	Behind  string
	Ranges  []netip.Prefix
}

// Equal tells whether two peers are reached alike.
func (p Peer) Equal(q Peer) bool {
	return p.Address == q.Address && p.Behind == q.Behind && slices.Equal(p.Ranges, q.Ranges)
}

// Complete tells that there is something to route and somewhere to.
func (p Peer) Complete() bool { return p.Address.IsValid() && len(p.Ranges) > 0 }

// networks are what other machines route to a node: its pods and, as nothing
// else tells the way to a node behind another one, its own address.
func (p Peer) networks() []netip.Prefix {
	if p.Behind == "" || !p.Complete() {
		return p.Ranges
	}
	return append([]netip.Prefix{netip.PrefixFrom(p.Address, p.Address.BitLen())}, p.Ranges...)
}

// hop is the node that packets for a peer are handed to: the peer itself where
// both are on one machine or behind nobody, else the one that this node is
// behind, else the one that the peer is behind.
func hop(self, selfBehind, peer, peerBehind string) string {
	switch {
	case selfBehind != "" && selfBehind != peer && selfBehind != peerBehind:
		return selfBehind
	case peerBehind != "" && peerBehind != self && peerBehind != selfBehind:
		return peerBehind
	}
	return peer
}

// PeerOf reads a Node: its first internal IPv4 address and its IPv4 ranges.
// What cannot be read is left out. No way leads to a simulated node.
func PeerOf(n *corev1.Node) Peer {
	if simulated.Is(n) {
		return Peer{}
	}
	p := Peer{Behind: n.Annotations[Behind]}
	for _, a := range n.Status.Addresses {
		addr, err := netip.ParseAddr(a.Address)
		if a.Type == corev1.NodeInternalIP && err == nil && addr.Is4() {
			p.Address = addr
			break
		}
	}
	for _, text := range n.Spec.PodCIDRs {
		if r, err := netip.ParsePrefix(text); err == nil && r.Addr().Is4() {
			p.Ranges = append(p.Ranges, r.Masked())
		}
	}
	return p
}

// Mode says when packets between nodes go through a tunnel.
type Mode string

// The modes.
const (
	Auto   Mode = "auto"   // where two nodes share no link
	Always Mode = "always" // also where they do
	Never  Mode = "never"  // others have to route pods then
)

// Modes are the known ones.
func Modes() []string { return []string{string(Auto), string(Always), string(Never)} }

// path is how a peer is reached.
type path int

const (
	unreached path = iota
	straight
	tunnel
)

// choose is the path to a peer with which a link is shared, or not.
func choose(mode Mode, shared bool) path {
	switch {
	case mode == Always:
		return tunnel
	case shared:
		return straight
	case mode == Never:
		return unreached
	}
	return tunnel
}

// gatewayOf is the address of a node at its end of the tunnel: the first of
// its range, which no pod gets.
func gatewayOf(r netip.Prefix) netip.Addr { return r.Masked().Addr().Next() }

// tunnelMAC is the hardware address of a node's end of the tunnel: locally
// administered, and known from the node's address, so that nobody has to ask.
func tunnelMAC(node netip.Addr) []byte {
	a := node.As4()
	return []byte{0x0e, 0x6b, a[0], a[1], a[2], a[3]}
}
