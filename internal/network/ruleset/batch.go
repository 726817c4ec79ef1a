package ruleset

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sort"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Key is an element of a named set or map: the fields that its set has.
type Key struct {
	Set      string
	Addr     netip.Addr
	Protocol uint8
	Port     uint16
}

// State is what the table holds beyond its base: chains by name and elements
// with the chain that they lead to (empty for plain sets).
type State struct {
	Chains   map[string]Chain
	Elements map[Key]string
}

// Change is a difference between two states.
type Change struct {
	SetChains  map[string]Chain
	DropChains map[string]struct{}
	SetKeys    map[Key]string
	// DropKeys has the verdict that the element had, which the kernel wants
	// to see again.
	DropKeys map[Key]string
}

// Empty tells that there is nothing to do.
func (c Change) Empty() bool {
	return len(c.SetChains)+len(c.DropChains)+len(c.SetKeys)+len(c.DropKeys) == 0
}

// batchSize bounds the chains and elements of one netlink batch, and
// batchTargets the targets of its chains: the socket's buffer ends not far
// above. A chain with more targets than that is a batch of its own.
const (
	batchSize    = 400
	batchTargets = 20_000
)

// Apply makes the change, each part after what it needs: chains first, then
// the elements that lead to them, at last the chains nobody leads to. A change
// of up to batchSize parts is one transaction; after an error the caller
// reads Current to learn what stands.
func (t *Table) Apply(c Change) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := queue{t: t}
	for _, name := range sortedNames(c.SetChains) {
		if err := q.chain(name, c.SetChains[name]); err != nil {
			return err
		}
	}
	for key, verdict := range c.DropKeys {
		if err := q.do(func() error { return t.element(key, verdict, t.conn.SetDeleteElements) }); err != nil {
			return err
		}
		if next, again := c.SetKeys[key]; again {
			if err := t.element(key, next, t.conn.SetAddElements); err != nil {
				return err
			}
		}
	}
	for key, verdict := range c.SetKeys {
		if _, done := c.DropKeys[key]; done {
			continue
		}
		if err := q.do(func() error { return t.element(key, verdict, t.conn.SetAddElements) }); err != nil {
			return err
		}
	}
	// Chains may lead to each other: all are emptied before the first goes.
	for name := range c.DropChains {
		if err := q.do(func() error { return t.emptyChain(name) }); err != nil {
			return err
		}
	}
	for name := range c.DropChains {
		if err := q.do(func() error { return t.dropChain(name) }); err != nil {
			return err
		}
	}
	return q.flush()
}

func sortedNames(chains map[string]Chain) []string {
	names := make([]string, 0, len(chains))
	for name := range chains {
		names = append(names, name)
	}
	// A chain that others go to must exist before them: "svc-" and "loc-"
	// before "ext-", that before "fw-".
	sort.Slice(names, func(i, j int) bool {
		a, b := rank(names[i]), rank(names[j])
		return a < b || a == b && names[i] < names[j]
	})
	return names
}

func rank(name string) int {
	switch {
	case strings.HasPrefix(name, "ext-"):
		return 1
	case strings.HasPrefix(name, "fw-"):
		return 2
	}
	return 0
}

// queue sends what was queued once it is as much as one batch may hold.
type queue struct {
	t          *Table
	n, targets int
}

// chain queues a chain, after what would not fit into a batch with it.
func (q *queue) chain(name string, content Chain) error {
	targets := 0
	for _, step := range content {
		targets += len(step.Balance)
	}
	if q.targets+targets > batchTargets {
		if err := q.flush(); err != nil {
			return err
		}
	}
	q.targets += targets
	return q.do(func() error { return q.t.addChain(name, content) })
}

func (q *queue) do(f func() error) error {
	if err := f(); err != nil {
		return err
	}
	q.n++
	if q.n < batchSize {
		return nil
	}
	return q.flush()
}

func (q *queue) flush() error {
	if q.n == 0 {
		return nil
	}
	q.n, q.targets = 0, 0
	if err := q.t.conn.Flush(); err != nil {
		return fmt.Errorf("change nftables table ip %s: %w", TableName, err)
	}
	return nil
}

func (t *Table) element(key Key, verdict string, apply func(*nftables.Set, []nftables.SetElement) error) error {
	e := nftables.SetElement{Key: key.bytes()}
	if verdict != "" {
		e.VerdictData = &expr.Verdict{Kind: expr.VerdictGoto, Chain: verdict}
	}
	for _, set := range t.sets() {
		if set.Name == key.Set {
			return apply(set, []nftables.SetElement{e})
		}
	}
	return fmt.Errorf("no set is named %s", key.Set)
}

// emptyChain takes the rules out of a chain; adding it first makes this no
// error where it never came to be.
func (t *Table) emptyChain(name string) error {
	t.conn.FlushChain(t.conn.AddChain(&nftables.Chain{Table: t.table, Name: name}))
	return nil
}

func (t *Table) dropChain(name string) error {
	t.conn.DelChain(&nftables.Chain{Table: t.table, Name: name})
	for _, set := range t.sticky[name] {
		t.conn.DelSet(&nftables.Set{Table: t.table, Name: set})
	}
	delete(t.sticky, name)
	return nil
}

func (k Key) bytes() []byte {
	var out []byte
	if k.Set != NodePorts && k.Set != RefusedPorts {
		addr := k.Addr.As4()
		out = append(out, addr[:]...)
		if k.Set == Hairpin {
			return append(out, addr[:]...)
		}
	}
	return append(out, k.Protocol, 0, 0, 0, byte(k.Port>>8), byte(k.Port), 0, 0)
}

func keyFrom(set string, b []byte) (Key, bool) {
	k := Key{Set: set}
	if set != NodePorts && set != RefusedPorts {
		if len(b) < 8 {
			return Key{}, false
		}
		k.Addr = netip.AddrFrom4([4]byte(b[:4]))
		if set == Hairpin {
			return k, true
		}
		b = b[4:]
	}
	if len(b) < 8 {
		return Key{}, false
	}
	k.Protocol, k.Port = b[0], binary.BigEndian.Uint16(b[4:6])
	return k, true
}

func nativeUint32(n uint32) []byte {
	return binary.NativeEndian.AppendUint32(nil, n)
}
