package rules

import "hash/fnv"

// A profile of more than shortProfile policies asks them by shelves, of which
// there are at most shelfCount: another policy then changes one shelf and the
// profile's list of them, and not a chain of all.
const (
	shortProfile = 32
	shelfCount   = 32
)

// profile is the policies that pods share in one direction, as a chain.
type profile struct {
	subjects int      // whose chain it is
	shelves  []string // that it leads to
}

// wantProfile makes the chains of policies, which are in order, unless they are
// there, and gives the name of the first.
func (b *Book) wantProfile(d Direction, policies []*policy) string {
	name := profilePrefix[d] + namesOf(policies)
	if b.profiles[name] != nil {
		return name
	}
	p := &profile{}
	b.profiles[name] = p
	c := Chain{Direction: d, Of: d.String(), Rules: jumps(d, policies)}
	if len(policies) > shortProfile {
		c.Rules = nil
		for _, shelf := range shelve(policies) {
			p.shelves = append(p.shelves, b.wantShelf(d, shelf))
			c.Rules = append(c.Rules, Rule{Action: Jump, Chain: p.shelves[len(p.shelves)-1]})
		}
	}
	c.Rules = append(c.Rules, Rule{Action: Drop})
	b.out.setChain(name, c)
	return name
}

func (b *Book) wantShelf(d Direction, policies []*policy) string {
	name := shelfPrefix[d] + namesOf(policies)
	if b.shelves[name]++; b.shelves[name] == 1 {
		b.out.setChain(name, Chain{Direction: d, Of: d.String(), Rules: jumps(d, policies)})
	}
	return name
}

// releaseProfile takes one subject from a profile; the last takes its chains.
func (b *Book) releaseProfile(name string) {
	p := b.profiles[name]
	if p.subjects--; p.subjects > 0 {
		return
	}
	delete(b.profiles, name)
	b.out.dropChain(name)
	for _, shelf := range p.shelves {
		if b.shelves[shelf]--; b.shelves[shelf] == 0 {
			delete(b.shelves, shelf)
			b.out.dropChain(shelf)
		}
	}
}

// jumps ask the policies in turn.
func jumps(d Direction, policies []*policy) []Rule {
	out := make([]Rule, 0, len(policies)+1)
	for _, p := range policies {
		out = append(out, Rule{Action: Jump, Chain: policyChain(d, p.key)})
	}
	return out
}

// shelve parts policies by their names alone, so that each has its shelf
// whatever others there are; empty shelves are left out.
func shelve(policies []*policy) [][]*policy {
	var by [shelfCount][]*policy
	for _, p := range policies {
		h := fnv.New32a()
		_, _ = h.Write([]byte(p.key.String())) // a hash takes everything
		n := h.Sum32() % shelfCount
		by[n] = append(by[n], p)
	}
	var out [][]*policy
	for _, shelf := range by {
		if len(shelf) > 0 {
			out = append(out, shelf)
		}
	}
	return out
}

func namesOf(policies []*policy) string {
	parts := make([]string, 0, len(policies))
	for _, p := range policies {
		parts = append(parts, p.key.String())
	}
	return id(parts...)
}
