package ruleset

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
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
	// Index numbers the targets of a frontend.
	Index uint32
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
	for _, e := range inOrder(c) {
		if err := q.do(func() error { return t.changeElement(e) }); err != nil {
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
	if err := q.flush(); err != nil {
		return err
	}
	return t.sweepKindsLocked()
}

// elementChange is what happens to one element.
type elementChange struct {
	key       Key
	was, is   string
	drop, set bool
}

// inOrder sorts the changes of elements, so that where they are several
// transactions no frontend picks a target that is not there: targets come
// before the frontends that lead to them, and go after them.
func inOrder(c Change) []elementChange {
	var phases [3][]elementChange
	add := func(e elementChange) {
		phase := 1
		switch {
		case isTarget(e.key.Set) && e.set:
			phase = 0
		case isTarget(e.key.Set):
			phase = 2
		}
		phases[phase] = append(phases[phase], e)
	}
	for key, was := range c.DropKeys {
		is, again := c.SetKeys[key]
		add(elementChange{key: key, was: was, is: is, drop: true, set: again})
	}
	for key, is := range c.SetKeys {
		if _, dropped := c.DropKeys[key]; !dropped {
			add(elementChange{key: key, is: is, set: true})
		}
	}
	return slices.Concat(phases[:]...)
}

// changeElement queues the change; one that replaces a value is both halves
// of it in one transaction.
func (t *Table) changeElement(e elementChange) error {
	if e.set && isPick(e.key.Set) {
		if err := t.useKindLocked(e.is); err != nil {
			return err
		}
	}
	if e.drop {
		if err := t.element(e.key, e.was, t.conn.SetDeleteElements); err != nil {
			return err
		}
		if isPick(e.key.Set) {
			t.leaveKindLocked(e.was)
		}
	}
	if e.set {
		return t.element(e.key, e.is, t.conn.SetAddElements)
	}
	return nil
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
	switch {
	case isPick(key.Set) || isTarget(key.Set):
		var err error
		if e.Val, err = encodeValue(key.Set, verdict); err != nil {
			return err
		}
	case verdict != "":
		e.VerdictData = &expr.Verdict{Kind: expr.VerdictGoto, Chain: verdict}
	}
	set, known := t.named[key.Set]
	if !known {
		return fmt.Errorf("no set is named %s", key.Set)
	}
	return apply(set, []nftables.SetElement{e})
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

// ofNode tells whether a set's keys have no address.
func ofNode(set string) bool {
	return set == NodePorts || set == RefusedPorts || set == NodePicks || set == NodeTargets
}

func (k Key) bytes() []byte {
	var out []byte
	if !ofNode(k.Set) {
		addr := k.Addr.As4()
		out = append(out, addr[:]...)
		if k.Set == Hairpin {
			return append(out, addr[:]...)
		}
	}
	out = append(out, k.Protocol, 0, 0, 0, byte(k.Port>>8), byte(k.Port), 0, 0)
	if isTarget(k.Set) {
		out = binary.NativeEndian.AppendUint32(out, k.Index)
	}
	return out
}

func keyFrom(set string, b []byte) (Key, bool) {
	k := Key{Set: set}
	if !ofNode(set) {
		if len(b) < 8 {
			return Key{}, false
		}
		k.Addr = netip.AddrFrom4([4]byte(b[:4]))
		if set == Hairpin {
			return k, true
		}
		b = b[4:]
	}
	if len(b) < 8 || isTarget(set) && len(b) < 12 {
		return Key{}, false
	}
	k.Protocol, k.Port = b[0], binary.BigEndian.Uint16(b[4:6])
	if isTarget(set) {
		k.Index = binary.NativeEndian.Uint32(b[8:12])
	}
	return k, true
}

func nativeUint32(n uint32) []byte {
	return binary.NativeEndian.AppendUint32(nil, n)
}
