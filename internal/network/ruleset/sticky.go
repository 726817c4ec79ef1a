package ruleset

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const (
	// regClient and regZero are registers that a target in reg0 does not reach
	// into.
	regClient = unix.NFT_REG_2
	regZero   = unix.NFT_REG_3
	// maxClients bounds what one Service remembers of its clients.
	maxClients = 65535
)

// stick sends a client to the target that it was sent to last, or to any where
// there is none. A target has a number, which a client is remembered with and
// which is the packet's priority from rule to rule (throughPriority).
func (t *Table) stick(chain string, index int, step Step, guards []expr.Any) ([][]expr.Any, error) {
	ids := numbers(step.Balance)
	clients, err := t.clients(chain, index, step, ids)
	if err != nil {
		return nil, err
	}
	anonymous := func(s nftables.Set, elements []nftables.SetElement) (*nftables.Set, error) {
		s.Table, s.Anonymous, s.Constant, s.KeyType = t.table, true, true, nftables.TypeMark
		if err := t.addMap(&s, elements); err != nil {
			return nil, fmt.Errorf("map of targets: %w", err)
		}
		return &s, nil
	}
	var known, numbered, targets []nftables.SetElement
	for i, target := range step.Balance {
		id := nativeUint32(ids[i])
		known = append(known, nftables.SetElement{Key: id})
		numbered = append(numbered, nftables.SetElement{Key: nativeUint32(uint32(i)), Val: id})
		targets = append(targets, nftables.SetElement{Key: id, Val: targetBytes(target)})
	}
	valid, err := anonymous(nftables.Set{}, known)
	if err != nil {
		return nil, err
	}
	pick, err := anonymous(nftables.Set{IsMap: true, DataType: nftables.TypeMark}, numbered)
	if err != nil {
		return nil, err
	}
	to, err := anonymous(nftables.Set{IsMap: true, DataType: targetType()}, targets)
	if err != nil {
		return nil, err
	}
	find := func(register uint32, set *nftables.Set) expr.Any {
		return &expr.Lookup{SourceRegister: register, DestRegister: reg0, IsDestRegSet: true, SetName: set.Name, SetID: set.ID}
	}
	priority := &expr.Meta{Key: expr.MetaKeyPRIORITY, Register: reg0}
	choose := &expr.Meta{Key: expr.MetaKeyPRIORITY, Register: reg0, SourceRegister: true}
	return [][]expr.Any{
		join(guards, clearPriority(reg0)),
		join(guards, []expr.Any{loadAddress(Source, reg0), find(reg0, clients), choose}),
		join(guards, []expr.Any{
			priority, &expr.Lookup{SourceRegister: reg0, Invert: true, SetName: valid.Name, SetID: valid.ID},
			&expr.Numgen{Register: reg0, Modulus: uint32(len(ids)), Type: unix.NFT_NG_RANDOM}, find(reg0, pick), choose,
		}),
		join(guards, []expr.Any{
			priority, loadAddress(Source, regClient),
			&expr.Dynset{SrcRegKey: regClient, SrcRegData: reg0, SetName: clients.Name, SetID: clients.ID,
				Operation: uint32(unix.NFT_DYNSET_OP_UPDATE), Timeout: step.Sticky},
		}),
		// In a rule of its own: the one before ends early where the map is full.
		join(guards, []expr.Any{priority}, clearPriority(regZero), []expr.Any{find(reg0, to), translate()}),
	}, nil
}

// numbers gives each target a number of its own that is not zero. It hardly
// ever depends on the other targets, so that clients stay where they are when
// those change.
func numbers(targets []Target) []uint32 {
	out := make([]uint32, 0, len(targets))
	taken := map[uint32]bool{0: true}
	for _, target := range targets {
		h := fnv.New32a()
		h.Write(targetBytes(target))
		id := h.Sum32()
		for taken[id] {
			id++
		}
		taken[id] = true
		out = append(out, id)
	}
	return out
}

// clients is the map that remembers a client's target. Where it stands from
// before, clients of targets that are gone are forgotten.
func (t *Table) clients(chain string, index int, step Step, ids []uint32) (*nftables.Set, error) {
	name := fmt.Sprintf("%s-m%d", chain, index)
	set := &nftables.Set{Table: t.table, Name: name, IsMap: true, HasTimeout: true, Dynamic: true, Timeout: step.Sticky,
		KeyType: nftables.TypeIPAddr, DataType: nftables.TypeMark, Size: maxClients}
	if !slices.Contains(t.sticky[chain], name) {
		t.sticky[chain] = append(t.sticky[chain], name)
		if err := t.addSet(set, nil); err != nil {
			return nil, fmt.Errorf("map of clients: %w", err)
		}
		return set, nil
	}
	known, err := t.conn.GetSetElements(set)
	if err != nil {
		return nil, fmt.Errorf("read the map of clients %s: %w", name, err)
	}
	var gone []nftables.SetElement
	for _, e := range known {
		if len(e.Val) < 4 || !slices.Contains(ids, binary.NativeEndian.Uint32(e.Val)) {
			gone = append(gone, nftables.SetElement{Key: e.Key})
		}
	}
	if err := t.deleteElements(set, gone); err != nil {
		return nil, fmt.Errorf("forget clients of gone targets: %w", err)
	}
	return set, nil
}
