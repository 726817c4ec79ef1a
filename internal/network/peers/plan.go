package peers

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api/simulated"
)

// Peer is another node: where it is and which pods it has. It is comparable
// by Equal.
type Peer struct {
	Address netip.Addr
	Ranges  []netip.Prefix
}

// Equal tells whether two peers are reached alike.
func (p Peer) Equal(q Peer) bool {
	return p.Address == q.Address && slices.Equal(p.Ranges, q.Ranges)
}

// Complete tells that there is something to route and somewhere to.
func (p Peer) Complete() bool { return p.Address.IsValid() && len(p.Ranges) > 0 }

// PeerOf reads a Node: its first internal IPv4 address and its IPv4 ranges.
// What cannot be read is left out. No way leads to a simulated node.
func PeerOf(n *corev1.Node) Peer {
	var p Peer
	if simulated.Is(n) {
		return p
	}
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
