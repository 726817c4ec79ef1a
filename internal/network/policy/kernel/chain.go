package kernel

import (
	"math"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"

	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

// maxComment is what nft shows of a comment.
const maxComment = 120

// fill queues the rules of an empty chain. The first says whose they are.
func (t *Table) fill(q *queue, name string, content rules.Chain) error {
	chain := &nftables.Chain{Table: t.table, Name: name}
	comment := userdata.AppendString(nil, userdata.TypeComment, content.Of[:min(len(content.Of), maxComment)])
	add := func(exprs []expr.Any) error {
		t.conn.AddRule(&nftables.Rule{Table: t.table, Chain: chain, Exprs: exprs, UserData: comment})
		comment = nil
		return q.count(1)
	}
	for i := range content.Rules {
		exprs, err := t.ruleExprs(content.Direction, &content.Rules[i])
		if err != nil {
			return err
		}
		if err := add(exprs); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) ruleExprs(d rules.Direction, r *rules.Rule) ([]expr.Any, error) {
	var out []expr.Any
	if r.Peers != "" {
		out = append(out, loadAddress(peerOffset(d), reg0), inSet(r.Peers))
	}
	if len(r.Blocks) > 0 {
		match, err := t.inBlocks(r.Blocks)
		if err != nil {
			return nil, err
		}
		out = append(append(out, loadAddress(peerOffset(d), reg0)), match)
	}
	if r.Protocol != 0 {
		out = append(out, matchProtocol(r.Protocol)...)
	}
	if len(r.Ports) > 0 {
		match, err := t.inPorts(r.Ports)
		if err != nil {
			return nil, err
		}
		out = append(append(out, loadPort(reg0)), match)
	}
	if r.Named != "" {
		out = append(out, loadAddress(destinationOffset, reg0), loadProtocol(reg1), loadPort(reg2), inSet(r.Named))
	}
	switch r.Action {
	case rules.Drop:
		return append(out, verdict(expr.VerdictDrop, "")), nil
	case rules.Jump:
		return append(out, verdict(expr.VerdictJump, r.Chain)), nil
	}
	return append(out, verdict(expr.VerdictAccept, "")), nil
}

// inBlocks matches the loaded address: against the one range, or by an
// anonymous set of them.
func (t *Table) inBlocks(blocks []rules.AddrRange) (expr.Any, error) {
	if len(blocks) == 1 {
		return within(big32(blocks[0].First), big32(blocks[0].Last)), nil
	}
	var elements []nftables.SetElement
	for _, b := range blocks {
		elements = append(elements, nftables.SetElement{Key: big32(b.First)})
		if b.Last != math.MaxUint32 {
			elements = append(elements, nftables.SetElement{Key: big32(b.Last + 1), IntervalEnd: true})
		}
	}
	return t.anonymous(nftables.TypeIPAddr, elements)
}

func (t *Table) inPorts(ports []rules.PortRange) (expr.Any, error) {
	if len(ports) == 1 {
		return within(big16(ports[0].First), big16(ports[0].Last)), nil
	}
	var elements []nftables.SetElement
	for _, p := range ports {
		elements = append(elements, nftables.SetElement{Key: big16(p.First)})
		if p.Last != math.MaxUint16 {
			elements = append(elements, nftables.SetElement{Key: big16(p.Last + 1), IntervalEnd: true})
		}
	}
	return t.anonymous(nftables.TypeInetService, elements)
}

func within(first, last []byte) expr.Any {
	if string(first) == string(last) {
		return equals(first)
	}
	return &expr.Range{Op: expr.CmpOpEq, Register: reg0, FromData: first, ToData: last}
}

// anonymous queues a set of intervals that goes with its rule.
func (t *Table) anonymous(key nftables.SetDatatype, elements []nftables.SetElement) (expr.Any, error) {
	set := &nftables.Set{Table: t.table, Name: "__set%d", Anonymous: true, Constant: true, Interval: true, KeyType: key,
		Size: uint32(len(elements))} // or the first chunk's would be the set's
	first := min(chunkSize, len(elements))
	if err := t.addSet(set, elements[:first]); err != nil {
		return nil, err
	}
	// The library refuses to change an anonymous set, which the kernel allows
	// until a rule of the same batch refers to it.
	more := *set
	more.Anonymous = false
	for rest := elements[first:]; len(rest) > 0; {
		n := min(chunkSize, len(rest))
		if err := t.conn.SetAddElements(&more, rest[:n]); err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	return &expr.Lookup{SourceRegister: reg0, SetID: set.ID, SetName: set.Name}, nil
}
