package proxy

import (
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
	// touched are the addresses of changes that were not applied yet. Who
	// applies them empties it.
	touched map[netip.Addr]struct{}
	udp     map[Flow]int // the ways that UDP takes
	// ended are ways that UDP took, and in changes that were not applied yet
	// takes no more; those of a frontend in judged all that are not in udp.
	ended  map[Flow]struct{}
	judged map[netip.AddrPort]bool
	// begun says that something was applied. From then on fresh are the UDP
	// frontends of changes that were not applied yet.
	begun bool
	fresh frontends
}

func newBook() *book {
	return &book{
		owners: map[owner]Rendered{}, claims: map[ruleset.Key]map[owner]string{},
		ready: map[netip.Addr]int{}, touched: map[netip.Addr]struct{}{},
		udp: map[Flow]int{}, ended: map[Flow]struct{}{}, judged: map[netip.AddrPort]bool{}, fresh: newFrontends(),
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
	for addr := range old.Ready {
		b.touched[addr] = struct{}{}
		count(b.ready, addr, -1)
	}
	for addr := range next.Ready {
		b.touched[addr] = struct{}{}
		count(b.ready, addr, 1)
	}
	for way := range old.UDP {
		b.ended[way] = struct{}{}
		count(b.udp, way, -1)
	}
	for way := range next.UDP {
		count(b.udp, way, 1)
	}
	return change
}

func count[K comparable](of map[K]int, what K, n int) {
	if of[what] += n; of[what] == 0 {
		delete(of, what)
	}
}

// gone tells whether a tracked flow has to end: it takes a way that is none any
// more, or began before its frontend was there. Flows of others to the same
// endpoint go on, and so do those that take a way which there is.
func (b *book) gone(f Flow) bool {
	for _, way := range []Flow{f, f.asOfNode()} {
		if b.udp[way] > 0 {
			return false
		}
	}
	for _, way := range []Flow{f, f.asOfNode()} {
		if _, ended := b.ended[way]; ended || b.judged[way.To] && f.By != f.To {
			return true
		}
	}
	return b.fresh.addrs[f.By.Addr()] || b.fresh.ports[f.To.Port()]
}

// endsFlows tells whether any flow may have to end.
func (b *book) endsFlows() bool {
	return len(b.ended)+len(b.judged)+len(b.fresh.addrs)+len(b.fresh.ports) > 0
}

// note keeps what a change brings until it is applied. What stands at the start
// was there when the flows began.
func (b *book) note(change ruleset.Change) {
	if b.begun {
		b.fresh.add(change)
	}
}

// judge is noted when the table was compared with the kernel's: what went while
// nobody looked has no other trace than the flows themselves.
func (b *book) judge(standing ruleset.Standing, want ruleset.State, change ruleset.Change) {
	addFrontends(b.judged, standing.Elements)
	addFrontends(b.judged, want.Elements)
	b.fresh.add(change)
}

// applied takes note that all is done that the changes asked for.
func (b *book) applied() {
	clear(b.touched)
	clear(b.ended)
	clear(b.judged)
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
