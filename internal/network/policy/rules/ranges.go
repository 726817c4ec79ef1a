package rules

import (
	"encoding/binary"
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
)

// AddrRange is a run of IPv4 addresses, both ends included.
type AddrRange struct{ First, Last uint32 }

// PortRange is a run of ports, both ends included.
type PortRange struct{ First, Last uint16 }

// number is an IPv4 address as a number.
func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func rangeOf(p netip.Prefix) AddrRange {
	first := number(p.Masked().Addr())
	return AddrRange{first, first | uint32(uint64(1)<<(32-p.Bits())-1)}
}

// blockRanges are the IPv4 addresses of a block; none for one of IPv6.
func blockRanges(block *networkingv1.IPBlock) ([]AddrRange, error) {
	whole, err := netip.ParsePrefix(block.CIDR)
	if err != nil {
		return nil, err
	}
	if !whole.Addr().Is4() {
		return nil, nil
	}
	var holes []AddrRange
	for _, text := range block.Except {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		if p.Addr().Is4() {
			holes = append(holes, rangeOf(p))
		}
	}
	return without(rangeOf(whole), mergeAddrs(holes)), nil
}

// without takes holes, sorted and disjoint, out of a range.
func without(r AddrRange, holes []AddrRange) []AddrRange {
	var out []AddrRange
	next, over := r.First, false
	for _, h := range holes {
		if h.Last < next || h.First > r.Last {
			continue
		}
		if h.First > next {
			out = append(out, AddrRange{next, h.First - 1})
		}
		if h.Last >= r.Last {
			over = true
			break
		}
		next = h.Last + 1
	}
	if !over {
		out = append(out, AddrRange{next, r.Last})
	}
	return out
}

// mergeAddrs sorts ranges and joins those that touch.
func mergeAddrs(in []AddrRange) []AddrRange {
	in = slices.Clone(in)
	slices.SortFunc(in, func(a, b AddrRange) int {
		if a.First != b.First {
			return compare(a.First, b.First)
		}
		return compare(a.Last, b.Last)
	})
	var out []AddrRange
	for _, r := range in {
		if n := len(out); n > 0 && uint64(r.First) <= uint64(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// mergePorts sorts ranges and joins those that touch.
func mergePorts(in []PortRange) []PortRange {
	wide := make([]AddrRange, len(in))
	for i, r := range in {
		wide[i] = AddrRange{uint32(r.First), uint32(r.Last)}
	}
	wide = mergeAddrs(wide)
	out := make([]PortRange, len(wide))
	for i, r := range wide {
		out[i] = PortRange{uint16(r.First), uint16(r.Last)}
	}
	return out
}

func compare(a, b uint32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// inAddrs tells whether sorted, disjoint ranges hold the address.
func inAddrs(ranges []AddrRange, a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	n := number(a)
	i, found := slices.BinarySearchFunc(ranges, n, func(r AddrRange, n uint32) int { return compare(r.First, n) })
	return found || i > 0 && n <= ranges[i-1].Last
}

func inPorts(ranges []PortRange, port uint16) bool {
	return slices.ContainsFunc(ranges, func(r PortRange) bool { return r.First <= port && port <= r.Last })
}
