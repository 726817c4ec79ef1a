package rules

import (
	"net/netip"
	"reflect"
)

// SetKind is what the elements of a set are.
type SetKind int

// Addresses alone, and addresses with protocol and port.
const (
	Addresses SetKind = iota
	Ports
)

// Change is what the kernel has to be told, in the order of the fields; what
// is dropped goes after everything that may have led to it.
type Change struct {
	AddSets     map[string]SetKind
	AddMembers  map[string][]Member
	SetChains   map[string]Chain
	SetSubjects [2]map[netip.Addr]string
	// DropSubjects has the chains that the addresses had.
	DropSubjects [2]map[netip.Addr]string
	DropMembers  map[string][]Member
	DropChains   []string
	DropSets     []string

	// Tightened is set where a connection that was allowed may not be now.
	Tightened bool
}

// Empty tells that there is nothing to do.
func (c *Change) Empty() bool {
	return len(c.AddSets)+len(c.AddMembers)+len(c.SetChains)+len(c.DropMembers)+len(c.DropChains)+len(c.DropSets)+
		len(c.SetSubjects[Ingress])+len(c.SetSubjects[Egress])+len(c.DropSubjects[Ingress])+len(c.DropSubjects[Egress]) == 0
}

func newChange() Change {
	c := Change{AddSets: map[string]SetKind{}, AddMembers: map[string][]Member{}, SetChains: map[string]Chain{}, DropMembers: map[string][]Member{}}
	for d := range 2 {
		c.SetSubjects[d], c.DropSubjects[d] = map[netip.Addr]string{}, map[netip.Addr]string{}
	}
	return c
}

// table is a part of what is wanted beside what the kernel was told.
type table[K comparable, V any] struct {
	want, applied map[K]V
	dirty         map[K]struct{}
}

func newTable[K comparable, V any]() table[K, V] {
	return table[K, V]{want: map[K]V{}, applied: map[K]V{}, dirty: map[K]struct{}{}}
}

// set wants a value; the zero value wants none.
func (t *table[K, V]) set(k K, v V) {
	if reflect.ValueOf(&v).Elem().IsZero() {
		delete(t.want, k)
	} else {
		t.want[k] = v
	}
	t.dirty[k] = struct{}{}
}

// settle calls set and drop for what differs, and takes it for told.
func (t *table[K, V]) settle(set func(K, V), drop func(K, V)) {
	for k := range t.dirty {
		v, want := t.want[k]
		old, had := t.applied[k]
		switch {
		case want && !(had && reflect.DeepEqual(v, old)):
			set(k, v)
			t.applied[k] = v
		case had && !want:
			drop(k, old)
			delete(t.applied, k)
		}
	}
	clear(t.dirty)
}

// output is what follows from the book, with what the kernel knows of it.
type output struct {
	chains   table[string, Chain]
	subjects [2]table[netip.Addr, string]
	groups   map[*group]struct{} // that may differ
	fresh    []*pod
	// tightened says so of a change that is not told yet.
	tightened bool
}

func newOutput() output {
	return output{chains: newTable[string, Chain](), groups: map[*group]struct{}{},
		subjects: [2]table[netip.Addr, string]{newTable[netip.Addr, string](), newTable[netip.Addr, string]()}}
}

func (o *output) setChain(name string, c Chain) { o.chains.set(name, c) }

func (o *output) dropChain(name string) { o.chains.set(name, Chain{}) }

// Take tells what changed since the last time and takes it for done.
func (b *Book) Take() Change {
	for p := range b.idle {
		if len(p.selected) == 0 {
			b.deactivate(p)
		}
	}
	clear(b.idle)
	c, o := newChange(), &b.out
	for g := range o.groups {
		b.settleGone(g, &c)
	}
	for g := range o.groups {
		b.settleGroup(g, &c)
	}
	clear(o.groups)
	o.chains.settle(func(name string, chain Chain) {
		_, before := o.chains.applied[name]
		o.tightened = o.tightened || before
		c.SetChains[name] = chain
	}, func(name string, _ Chain) { c.DropChains = append(c.DropChains, name) })
	for d := range 2 {
		o.subjects[d].settle(
			func(a netip.Addr, chain string) {
				if old, had := o.subjects[d].applied[a]; had {
					c.DropSubjects[d][a] = old
				}
				c.SetSubjects[d][a] = chain
				o.tightened = o.tightened || !b.owner(b.claims[a]).fresh
			},
			func(a netip.Addr, chain string) { c.DropSubjects[d][a] = chain })
	}
	for _, p := range o.fresh {
		p.fresh = false
	}
	o.fresh = nil
	c.Tightened, o.tightened = o.tightened, false
	return c
}

// settleGone drops the set of a group that is not wanted any more, or hands
// it to one of the same content that came since.
func (b *Book) settleGone(g *group, c *Change) {
	next := b.groups[g.key()]
	if next == g || !g.known {
		return
	}
	g.known = false
	if next == nil {
		c.DropSets = append(c.DropSets, g.name)
		return
	}
	next.known, next.applied = true, g.applied
	for m := range g.applied {
		next.dirty[m] = struct{}{}
	}
}

// settleGroup tells what differs of a group. An address that its pod takes
// away with it has no connections to end.
func (b *Book) settleGroup(g *group, c *Change) {
	if b.groups[g.key()] != g {
		return
	}
	if !g.known {
		g.known = true
		kind := Addresses
		if g.port != nil {
			kind = Ports
		}
		c.AddSets[g.name] = kind
	}
	for m := range g.dirty {
		_, want := g.members[m]
		_, had := g.applied[m]
		switch {
		case want && !had:
			c.AddMembers[g.name] = append(c.AddMembers[g.name], m)
			g.applied[m] = struct{}{}
		case had && !want:
			c.DropMembers[g.name] = append(c.DropMembers[g.name], m)
			delete(g.applied, m)
			b.out.tightened = b.out.tightened || len(b.claims[m.Addr]) > 0
		}
	}
	clear(g.dirty)
}

// Whole is everything that is wanted, as a change of an empty table; what
// Take would tell is in it, and taken for done.
func (b *Book) Whole() Change {
	b.Take()
	c := newChange()
	for _, g := range b.groups {
		c.AddSets[g.name] = Addresses
		if g.port != nil {
			c.AddSets[g.name] = Ports
		}
		for m := range g.members {
			c.AddMembers[g.name] = append(c.AddMembers[g.name], m)
		}
	}
	for name, chain := range b.out.chains.want {
		c.SetChains[name] = chain
	}
	for d := range 2 {
		for a, chain := range b.out.subjects[d].want {
			c.SetSubjects[d][a] = chain
		}
	}
	c.Tightened = len(c.SetSubjects[Ingress])+len(c.SetSubjects[Egress]) > 0
	return c
}
