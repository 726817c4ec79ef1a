package proxy

import (
	"maps"
	"net/netip"

	"github.com/knarr-io/knarr/internal/network/ruleset"
)

// owner is who asked for a part of the table: a Service or a pod.
type owner struct {
	pod             bool
	namespace, name string
}

func (o owner) before(p owner) bool {
	if o.pod != p.pod {
		return p.pod
	}
	if o.namespace != p.namespace {
		return o.namespace < p.namespace
	}
	return o.name < p.name
}

// book keeps what every owner asked for last and what of it counts: where two
// ask for one element, as two Services with one external address do, the
// first by name has it until it goes. It is pure; one goroutine uses it.
type book struct {
	owners map[owner]Rendered
	claims map[ruleset.Key]map[owner]string
	ready  map[netip.Addr]int
	udp    map[netip.Addr]int // of ready, those that UDP is sent to
	// touched are the addresses of changes that were not applied yet, and
	// whether UDP goes to them, or went. Who applies them empties it.
	touched map[netip.Addr]bool
	// ended are the UDP frontends that led to an address, and in changes that
	// were not applied yet do no more.
	ended map[netip.Addr]map[netip.AddrPort]bool
	// begun says that something was applied. From then on fresh are the UDP
	// frontends of changes that were not applied yet.
	begun bool
	fresh frontends
}

func newBook() *book {
	return &book{
		owners: map[owner]Rendered{}, claims: map[ruleset.Key]map[owner]string{},
		ready: map[netip.Addr]int{}, udp: map[netip.Addr]int{}, touched: map[netip.Addr]bool{},
		ended: map[netip.Addr]map[netip.AddrPort]bool{}, fresh: newFrontends(),
	}
}

// newChange makes an empty change for set to add to.
func newChange() ruleset.Change {
	return ruleset.Change{SetChains: map[string]ruleset.Chain{}, DropChains: map[string]struct{}{}, SetKeys: map[ruleset.Key]string{}, DropKeys: map[ruleset.Key]string{}}
}

// set replaces what the owner asked for and adds the difference to change.
func (b *book) set(o owner, next Rendered, change ruleset.Change) ruleset.Change {
	old := b.owners[o]
	if len(next.Chains)+len(next.Elements)+len(next.Ready) == 0 {
		delete(b.owners, o)
	} else {
		b.owners[o] = next
	}
	change = chainChange(old.Chains, next.Chains, change)
	for key := range old.Elements {
		if _, still := next.Elements[key]; !still {
			b.claim(key, o, nil, change)
		}
	}
	for key, verdict := range next.Elements {
		b.claim(key, o, &verdict, change)
	}
	for addr, udp := range old.Ready {
		b.touched[addr] = b.touched[addr] || udp
		count(b.ready, addr, -1)
		if udp {
			count(b.udp, addr, -1)
		}
	}
	for addr, udp := range next.Ready {
		b.touched[addr] = b.touched[addr] || udp
		count(b.ready, addr, 1)
		if udp {
			count(b.udp, addr, 1)
		}
	}
	b.end(old, next)
	return change
}

// end notes which UDP flows an owner leaves behind.
func (b *book) end(old, next Rendered) {
	for addr, udp := range old.Ready {
		if !udp || next.Ready[addr] {
			continue
		}
		if b.ended[addr] == nil {
			b.ended[addr] = map[netip.AddrPort]bool{}
		}
		maps.Copy(b.ended[addr], udpFrontends(old))
	}
	for addr, udp := range next.Ready {
		if udp && b.ended[addr] != nil { // it is back before anything was applied
			for to := range udpFrontends(next) {
				delete(b.ended[addr], to)
			}
		}
	}
}

func count(of map[netip.Addr]int, addr netip.Addr, n int) {
	if of[addr] += n; of[addr] == 0 {
		delete(of, addr)
	}
}

// note keeps what a change brings until it is applied. What stands at the start
// was there when the flows began.
func (b *book) note(change ruleset.Change) {
	if b.begun {
		b.fresh.add(change)
	}
}

// applied takes note that all is done that the changes asked for.
func (b *book) applied() {
	clear(b.touched)
	clear(b.ended)
	b.begun, b.fresh = true, newFrontends()
}

func chainChange(old, next map[string]ruleset.Chain, change ruleset.Change) ruleset.Change {
	for name, chain := range next {
		if before, ok := old[name]; !ok || before.Digest() != chain.Digest() {
			change.SetChains[name] = chain
			delete(change.DropChains, name)
		}
	}
	for name := range old {
		if _, still := next[name]; !still {
			change.DropChains[name] = struct{}{}
			delete(change.SetChains, name)
		}
	}
	return change
}

// claim makes or withdraws (nil) a claim and notes what that changes.
func (b *book) claim(key ruleset.Key, o owner, verdict *string, change ruleset.Change) {
	before, had := b.winner(key)
	switch {
	case verdict == nil:
		delete(b.claims[key], o)
		if len(b.claims[key]) == 0 {
			delete(b.claims, key)
		}
	case b.claims[key] == nil:
		b.claims[key] = map[owner]string{o: *verdict}
	default:
		b.claims[key][o] = *verdict
	}
	after, has := b.winner(key)
	if had == has && before == after {
		return
	}
	// What this batch already says of the key was said of an older state:
	// keep its first "was" and the newest "is".
	if _, added := change.SetKeys[key]; had && !added {
		change.DropKeys[key] = before
	}
	delete(change.SetKeys, key)
	if has {
		change.SetKeys[key] = after
		if was, dropped := change.DropKeys[key]; dropped && was == after {
			delete(change.DropKeys, key)
			delete(change.SetKeys, key)
		}
	}
}

func (b *book) winner(key ruleset.Key) (verdict string, ok bool) {
	var first owner
	for o, v := range b.claims[key] {
		if !ok || o.before(first) {
			first, verdict, ok = o, v, true
		}
	}
	return verdict, ok
}

// state is everything that is wanted.
func (b *book) state() ruleset.State {
	s := ruleset.State{Chains: map[string]ruleset.Chain{}, Elements: make(map[ruleset.Key]string, len(b.claims))}
	for _, r := range b.owners {
		for name, chain := range r.Chains {
			s.Chains[name] = chain
		}
	}
	for key := range b.claims {
		s.Elements[key], _ = b.winner(key)
	}
	return s
}
