package allocate

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/knarr-io/knarr/internal/store/cache"
)

// errAddressTaken is the refusal of an address, in upstream's words.
var errAddressTaken = errors.New("provided IP is already allocated")

// holders says why an address is not free: a Service has it, or an IPAddress
// that is no Service's of ours records it.
type holders uint8

const (
	byService holders = 1 << iota
	byRecord
)

// addresses are the cluster addresses that are not free. They are not safe
// for concurrent use.
type addresses struct {
	taken  map[netip.Addr]holders
	random func(n int) int
}

func newAddresses() *addresses {
	return &addresses{taken: map[netip.Addr]holders{}, random: rand.IntN}
}

func (a *addresses) hold(addr netip.Addr, by holders) { a.taken[addr] |= by }

func (a *addresses) release(addr netip.Addr, by holders) {
	if a.taken[addr] &^= by; a.taken[addr] == 0 {
		delete(a.taken, addr)
	}
}

// releaseWith releases a Service's address under the lock.
func (a *addresses) releaseWith(mu sync.Locker, addr netip.Addr) {
	mu.Lock()
	defer mu.Unlock()
	a.release(addr, byService)
}

// take gives a certain address to a Service.
func (a *addresses) take(addr netip.Addr) bool {
	if a.taken[addr] != 0 {
		return false
	}
	a.taken[addr] = byService
	return true
}

// next gives any free address of the ranges. The first part of a range is
// kept for those who ask for a certain one (KEP-3070), and given only when
// nothing else of the range is left.
func (a *addresses) next(ranges []netip.Prefix) (netip.Addr, error) {
	for _, network := range ranges {
		size := hostCount(network)
		band := min(staticBand(size, 16, 16, 256), size)
		take := func(n int) bool { return a.take(addressAt(network, n)) }
		n, ok := scan(band, size, a.random, take)
		if !ok {
			n, ok = scan(0, band, a.random, take)
		}
		if ok {
			return addressAt(network, n), nil
		}
	}
	return netip.Addr{}, errFull
}

// hostCount is how many addresses a network has to hand out, all but its first
// and last, bounded for huge ones.
func hostCount(n netip.Prefix) int {
	const most = 20 // a million Services
	return max(0, 1<<min(n.Addr().BitLen()-n.Bits(), most)-2)
}

// addressAt is the address at a place of the network.
func addressAt(network netip.Prefix, n int) netip.Addr {
	raw := network.Masked().Addr().AsSlice()
	n++
	for i := len(raw) - 1; n > 0 && i >= 0; i-- {
		n += int(raw[i])
		raw[i] = byte(n)
		n >>= 8
	}
	addr, _ := netip.AddrFromSlice(raw)
	return addr
}

// usable tells whether an address may be asked for: it lies in a range, and
// is neither its first nor its last.
func usable(addr netip.Addr, ranges []netip.Prefix) bool {
	for _, network := range ranges {
		if network.Contains(addr) && addr != network.Masked().Addr() && addr != lastOf(network) {
			return true
		}
	}
	return false
}

func lastOf(network netip.Prefix) netip.Addr {
	raw := network.Masked().Addr().AsSlice()
	for bit := network.Bits(); bit < len(raw)*8; bit++ {
		raw[bit/8] |= 0x80 >> (bit % 8)
	}
	addr, _ := netip.AddrFromSlice(raw)
	return addr
}

// defaultRange is the ServiceCIDR that stands for the configured network.
const defaultRange = "kubernetes"

// ranges are the networks that addresses come from now, of the cluster's IP
// family: the configured one first, unless its object is being deleted.
func (s *Services) ranges() []netip.Prefix {
	out := []netip.Prefix{s.config.Network}
	if s.stored.Ranges == nil {
		return out
	}
	s.stored.Ranges.Snapshot().Ascend("", "", "", func(item *cache.Item) bool {
		r, isRange := item.Object.(*networkingv1.ServiceCIDR)
		switch {
		case !isRange:
		case r.Name == defaultRange && r.DeletionTimestamp != nil:
			out = out[1:]
		case r.Name != defaultRange && r.DeletionTimestamp == nil && meta.IsStatusConditionTrue(r.Status.Conditions, networkingv1.ServiceCIDRConditionReady):
			for _, text := range r.Spec.CIDRs {
				if network, err := netip.ParsePrefix(text); err == nil && network.Addr().Is4() == s.config.Network.Addr().Is4() {
					out = append(out, network.Masked())
				}
			}
		}
		return true
	})
	return out
}

// addressesOf are the cluster addresses that a Service holds.
func addressesOf(svc *corev1.Service) []netip.Addr {
	var out []netip.Addr
	for _, text := range svc.Spec.ClusterIPs {
		if addr, err := netip.ParseAddr(text); err == nil {
			out = append(out, addr)
		}
	}
	return out
}
