package kernel

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

// batchSize bounds the rules and lists of elements of one netlink batch,
// chunkSize the elements of a list: it is an attribute, whose length the
// kernel reads from 16 bits.
const (
	batchSize = 1000
	chunkSize = 500
)

// Apply makes the change, each part after what it needs. A change of nearly
// batchSize parts is one transaction; in a larger one every state in between
// allows less than the last. After an error Rebuild is needed.
func (t *Table) Apply(c rules.Change) error {
	q := queue{conn: t.conn}
	for _, step := range []func(*queue, *rules.Change) error{
		t.addSets, t.addMembers, t.setChains, t.setSubjects, t.dropMembers, t.dropChains, t.dropSets} {
		if err := step(&q, &c); err != nil {
			return err
		}
	}
	return q.flush()
}

// queue sends what was queued once it is as much as one batch may hold.
type queue struct {
	conn *nftables.Conn
	n    int
}

func (q *queue) count(n int) error {
	if q.n += n; q.n < batchSize {
		return nil
	}
	return q.flush()
}

// room sends what was queued unless so many more parts go along with it.
func (q *queue) room(parts int) error {
	if q.n == 0 || q.n+parts < batchSize {
		return nil
	}
	return q.flush()
}

func (q *queue) flush() error {
	q.n = 0
	if err := q.conn.Flush(); err != nil {
		return fmt.Errorf("change the nftables table of network policies: %w", err)
	}
	return nil
}

func (t *Table) addSets(q *queue, c *rules.Change) error {
	for name, kind := range c.AddSets {
		t.kinds[name] = kind
		if err := t.addSet(t.namedSet(name, kind), nil); err != nil {
			return fmt.Errorf("nftables set %s: %w", name, err)
		}
		if err := q.count(1); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) addMembers(q *queue, c *rules.Change) error {
	return t.members(q, c.AddMembers, t.conn.SetAddElements)
}

func (t *Table) dropMembers(q *queue, c *rules.Change) error {
	return t.members(q, c.DropMembers, t.conn.SetDeleteElements)
}

func (t *Table) members(q *queue, of map[string][]rules.Member, do func(*nftables.Set, []nftables.SetElement) error) error {
	for name, members := range of {
		kind := t.kinds[name]
		elements := make([]nftables.SetElement, len(members))
		for i, m := range members {
			elements[i].Key = memberKey(kind, m)
		}
		if err := inChunks(q, t.namedSet(name, kind), elements, do); err != nil {
			return fmt.Errorf("nftables set %s: %w", name, err)
		}
	}
	return nil
}

func inChunks(q *queue, set *nftables.Set, elements []nftables.SetElement, do func(*nftables.Set, []nftables.SetElement) error) error {
	for chunk := range slices.Chunk(elements, chunkSize) {
		if err := do(set, chunk); err != nil {
			return err
		}
		if err := q.count(1); err != nil {
			return err
		}
	}
	return nil
}

func memberKey(kind rules.SetKind, m rules.Member) []byte {
	addr := m.Addr.As4()
	if kind == rules.Addresses {
		return addr[:]
	}
	return append(addr[:], m.Protocol, 0, 0, 0, byte(m.Port>>8), byte(m.Port), 0, 0)
}

// setChains makes all chains before it fills the first: they lead to each
// other.
func (t *Table) setChains(q *queue, c *rules.Change) error {
	for name := range c.SetChains {
		t.conn.AddChain(&nftables.Chain{Table: t.table, Name: name})
		if err := q.count(1); err != nil {
			return err
		}
	}
	for name, chain := range c.SetChains {
		t.conn.FlushChain(&nftables.Chain{Table: t.table, Name: name})
		if err := t.fill(q, name, chain); err != nil {
			return fmt.Errorf("nftables chain %s (%s): %w", name, chain.Of, err)
		}
	}
	return nil
}

// setSubjects gives addresses their profiles, in one batch: between two, one that
// gets another would be without any.
func (t *Table) setSubjects(q *queue, c *rules.Change) error {
	elements := 0
	for d := range 2 {
		elements += len(c.DropSubjects[d]) + len(c.SetSubjects[d])
	}
	const lists = 6 // that may be short: two of each map, and of the pairs
	if err := q.room(lists + 2*elements/chunkSize); err != nil {
		return err
	}
	before := map[netip.Addr]int{}
	note := func(a netip.Addr, by int) {
		if _, seen := before[a]; !seen {
			before[a] = t.self[a]
		}
		t.self[a] += by
	}
	for d := range 2 {
		subjects := t.subjectMap(rules.Direction(d))
		var gone, come []nftables.SetElement
		for a, chain := range c.DropSubjects[d] {
			gone = append(gone, subject(a, chain))
			note(a, -1)
		}
		for a, chain := range c.SetSubjects[d] {
			come = append(come, subject(a, chain))
			note(a, 1)
		}
		if err := inChunks(q, subjects, gone, t.conn.SetDeleteElements); err != nil {
			return fmt.Errorf("nftables map %s: %w", subjects.Name, err)
		}
		if err := inChunks(q, subjects, come, t.conn.SetAddElements); err != nil {
			return fmt.Errorf("nftables map %s: %w", subjects.Name, err)
		}
	}
	return t.setSelf(q, before)
}

func subject(a netip.Addr, chain string) nftables.SetElement {
	addr := a.As4()
	return nftables.SetElement{Key: addr[:], VerdictData: &expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}}
}

// setSelf keeps the pairs of subjects; before says how many directions an
// address was a subject in.
func (t *Table) setSelf(q *queue, before map[netip.Addr]int) error {
	var come, gone []nftables.SetElement
	for a, n := range before {
		addr := a.As4()
		e := nftables.SetElement{Key: append(addr[:], addr[:]...)}
		switch {
		case n == 0 && t.self[a] > 0:
			come = append(come, e)
		case n > 0 && t.self[a] == 0:
			gone = append(gone, e)
		}
		if t.self[a] == 0 {
			delete(t.self, a)
		}
	}
	if err := inChunks(q, t.selfSet(), gone, t.conn.SetDeleteElements); err != nil {
		return fmt.Errorf("nftables set %s: %w", setSelf, err)
	}
	if err := inChunks(q, t.selfSet(), come, t.conn.SetAddElements); err != nil {
		return fmt.Errorf("nftables set %s: %w", setSelf, err)
	}
	return nil
}

// dropChains empties all chains before the first goes: they lead to each
// other.
func (t *Table) dropChains(q *queue, c *rules.Change) error {
	for _, name := range c.DropChains {
		t.conn.FlushChain(&nftables.Chain{Table: t.table, Name: name})
		if err := q.count(1); err != nil {
			return err
		}
	}
	for _, name := range c.DropChains {
		t.conn.DelChain(&nftables.Chain{Table: t.table, Name: name})
		if err := q.count(1); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) dropSets(q *queue, c *rules.Change) error {
	for _, name := range c.DropSets {
		t.conn.DelSet(t.namedSet(name, t.kinds[name]))
		delete(t.kinds, name)
		if err := q.count(1); err != nil {
			return err
		}
	}
	return nil
}
