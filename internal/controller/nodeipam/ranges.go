package nodeipam

import (
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
)

var errFull = errors.New("every range of the pod network is taken")

// ranges hands out equal parts of a network. It belongs to one goroutine.
type ranges struct {
	network netip.Prefix
	bits    int // of a part
	count   int
	taken   []uint64 // bitmap
	next    int      // where the search begins, so that a freed range rests
}

// newRanges divides a network; parts is the prefix length of a part.
func newRanges(network netip.Prefix, parts int) (*ranges, error) {
	network = network.Masked()
	width := parts - network.Bits()
	if width < 0 || parts > network.Addr().BitLen() || width > 24 {
		return nil, fmt.Errorf("the pod network %s cannot be divided into ranges of /%d", network, parts)
	}
	n := 1 << width
	return &ranges{network: network, bits: parts, count: n, taken: make([]uint64, (n+63)/64)}, nil
}

// occupy marks a range as taken; false when it is no part of the network.
func (r *ranges) occupy(p netip.Prefix) bool {
	i, ok := r.index(p)
	if ok {
		r.taken[i/64] |= 1 << (i % 64)
	}
	return ok
}

// free gives a range back.
func (r *ranges) free(p netip.Prefix) {
	if i, ok := r.index(p); ok {
		r.taken[i/64] &^= 1 << (i % 64)
	}
}

// take finds a free range.
func (r *ranges) take() (netip.Prefix, error) {
	words := len(r.taken)
	for n := range words + 1 {
		w := (r.next/64 + n) % words
		free := ^r.taken[w]
		if n == 0 {
			free &= ^uint64(0) << (r.next % 64)
		}
		if free == 0 {
			continue
		}
		i := w*64 + bits.TrailingZeros64(free)
		if i >= r.count {
			continue
		}
		r.taken[w] |= 1 << (i % 64)
		r.next = (i + 1) % r.count
		return r.at(i), nil
	}
	return netip.Prefix{}, errFull
}

func (r *ranges) index(p netip.Prefix) (int, bool) {
	if p.Bits() != r.bits || !r.network.Contains(p.Addr()) {
		return 0, false
	}
	addr := p.Masked().Addr().As16()
	low := int(extract(addr, r.network.Addr().Is4(), r.network.Bits(), r.bits))
	return low, low < r.count
}

// at is the i-th part.
func (r *ranges) at(i int) netip.Prefix {
	addr := r.network.Addr().As16()
	offset := 0
	if r.network.Addr().Is4() {
		offset = 96
	}
	for bit := range r.bits - r.network.Bits() {
		if i>>bit&1 == 1 {
			pos := offset + r.bits - 1 - bit
			addr[pos/8] |= 0x80 >> (pos % 8)
		}
	}
	out := netip.AddrFrom16(addr)
	if r.network.Addr().Is4() {
		out = out.Unmap()
	}
	return netip.PrefixFrom(out, r.bits)
}

// extract reads the bits [from, to) of an address as a number.
func extract(addr [16]byte, is4 bool, from, to int) uint64 {
	offset := 0
	if is4 {
		offset = 96
	}
	var n uint64
	for pos := offset + from; pos < offset+to; pos++ {
		n = n<<1 | uint64(addr[pos/8]>>(7-pos%8)&1)
	}
	return n
}
