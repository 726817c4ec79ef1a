// Package podnet gives pods their network: an address from the node's range
// and one routed veth, without a bridge. The pod's end is eth0 with a /32 and a
// default route by 169.254.1.1, which is nobody's address: permanent neighbour
// entries at both ends name the other's hardware address, so that nothing has
// to answer ARP. The host's end has a /32 route to the pod.
package podnet

import (
	"errors"
	"fmt"
	"net/netip"
)

// errExhausted says that every address of the range is in use.
var errExhausted = errors.New("no free pod address in the node's range")

// IPAM gives out addresses of one range, each again as late as possible. It
// is a value without effects: the caller locks it and remembers who has what.
type IPAM struct {
	prefix netip.Prefix
	last   netip.Addr
	used   map[netip.Addr]bool
}

// NewIPAM returns an allocator for prefix that goes on after last, where used are taken.
func NewIPAM(prefix netip.Prefix, last netip.Addr, used []netip.Addr) (*IPAM, error) {
	prefix = prefix.Masked()
	if !prefix.IsValid() || !prefix.Addr().Is4() || prefix.Bits() > 29 {
		return nil, fmt.Errorf("pod range %s: need an IPv4 prefix of at most 29 bits", prefix)
	}
	m := &IPAM{prefix: prefix, last: prefix.Addr(), used: map[netip.Addr]bool{}}
	if prefix.Contains(last) {
		m.last = last
	}
	for _, a := range used {
		m.used[a] = true
	}
	return m, nil
}

// Allocate takes the next free address. The first two addresses and the last
// of the range are never given out: network, a node's own use, broadcast.
func (m *IPAM) Allocate() (netip.Addr, error) {
	a := m.last
	for range 1 << (32 - m.prefix.Bits()) {
		a = m.after(a)
		if !m.used[a] {
			m.used[a] = true
			m.last = a
			return a, nil
		}
	}
	return netip.Addr{}, errExhausted
}

// after is the next usable address of the range, around the end.
func (m *IPAM) after(a netip.Addr) netip.Addr {
	first := m.prefix.Addr().Next().Next()
	next := a.Next()
	if !m.prefix.Contains(next) || !m.prefix.Contains(next.Next()) || next.Less(first) {
		return first
	}
	return next
}

// Release gives an address back.
func (m *IPAM) Release(a netip.Addr) { delete(m.used, a) }

// Last is the address given out last.
func (m *IPAM) Last() netip.Addr { return m.last }

// Prefix is the range.
func (m *IPAM) Prefix() netip.Prefix { return m.prefix }
