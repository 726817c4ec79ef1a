package ruleset

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Most Services need no chain of their own. Their frontends lie in the maps
// Picks and NodePicks, which say how a connection is treated and among how
// many targets it picks; the targets lie, numbered, in the maps Targets and
// NodeTargets. So a change of such a Service changes elements alone. The
// kernel looks for loops through every chain and every verdict of a table
// whenever one of those changes: with chains per Service the change of one
// would cost what all of them cost.

// Treatment is how a picked connection is handled.
type Treatment uint8

// The treatments.
const (
	// ForCluster keeps the source, unless it is neither a pod nor the node.
	ForCluster Treatment = iota + 1
	// ForWorld gives the connection the node's address.
	ForWorld
	// ForNodePort does the same and picks from NodeTargets.
	ForNodePort
)

// Pick is the value of an element of Picks or NodePicks.
func Pick(t Treatment, targets int) string { return fmt.Sprintf("%d/%d", t, targets) }

// maxTargets bounds the targets of a frontend: what a kind's number holds.
const maxTargets = 1<<24 - 1

// kind is a treatment with a number of targets, as the kernel's maps hold it.
type kind uint32

func kindOf(t Treatment, targets int) kind { return kind(t)<<24 | kind(targets) }

func (k kind) treatment() Treatment { return Treatment(k >> 24) }
func (k kind) targets() int         { return int(k & maxTargets) }
func (k kind) chain() string        { return fmt.Sprintf("%s%d-%d", kindPrefix, k.treatment(), k.targets()) }
func (k kind) value() string        { return Pick(k.treatment(), k.targets()) }

const kindPrefix = "pick-"

// parseKind reads what Pick wrote.
func parseKind(text string) (kind, error) {
	t, n, _ := strings.Cut(text, "/")
	treatment, err := strconv.ParseUint(t, 10, 8)
	targets, err2 := strconv.ParseUint(n, 10, 24)
	if err != nil || err2 != nil || treatment < uint64(ForCluster) || treatment > uint64(ForNodePort) || targets == 0 {
		return 0, fmt.Errorf("%q is no treatment with a number of targets", text)
	}
	return kindOf(Treatment(treatment), int(targets)), nil
}

// kindFromChain reads a chain's name.
func kindFromChain(name string) (kind, bool) {
	rest, ok := strings.CutPrefix(name, kindPrefix)
	if !ok {
		return 0, false
	}
	k, err := parseKind(strings.Replace(rest, "-", "/", 1))
	return k, err == nil
}

// kindsForm names the rules that kindRules makes; another form found in the
// kernel is replaced.
const kindsForm = "2"

// spareKinds is how many kinds that nobody needs may stand.
const spareKinds = 64

// isPick tells whether the values of a set are kinds.
func isPick(set string) bool { return set == Picks || set == NodePicks }

// isTarget tells whether the values of a set are targets.
func isTarget(set string) bool { return set == Targets || set == NodeTargets }

// useKindLocked makes the chain of a kind stand before an element leads to it.
func (t *Table) useKindLocked(text string) error {
	k, err := parseKind(text)
	if err != nil {
		return err
	}
	if _, known := t.kinds[k]; !known {
		if err := t.addKind(k); err != nil {
			return err
		}
	}
	t.kinds[k]++
	return nil
}

func (t *Table) leaveKindLocked(text string) {
	if k, err := parseKind(text); err == nil && t.kinds[k] > 0 {
		t.kinds[k]--
	}
}

// sweepKindsLocked drops the kinds that nobody needs once there are many.
func (t *Table) sweepKindsLocked() error {
	var unused []kind
	for k, users := range t.kinds {
		if users == 0 {
			unused = append(unused, k)
		}
	}
	if len(unused) <= spareKinds {
		return nil
	}
	slices.Sort(unused)
	for chunk := range slices.Chunk(unused, batchSize) {
		for _, k := range chunk {
			if err := t.conn.SetDeleteElements(t.named[kindsMap], []nftables.SetElement{k.element()}); err != nil {
				return err
			}
			chain := &nftables.Chain{Table: t.table, Name: k.chain()}
			t.conn.FlushChain(chain)
			t.conn.DelChain(chain)
			delete(t.kinds, k)
		}
		if err := t.conn.Flush(); err != nil {
			return fmt.Errorf("drop unused chains of nftables table ip %s: %w", TableName, err)
		}
	}
	return nil
}

func (k kind) element() nftables.SetElement {
	return nftables.SetElement{Key: nativeUint32(uint32(k)), VerdictData: &expr.Verdict{Kind: expr.VerdictGoto, Chain: k.chain()}}
}

// addKind queues a kind's chain, and the element that leads to it where that
// does not stand yet.
func (t *Table) addKind(k kind) error {
	t.putKindRules(k)
	t.kinds[k] = 0
	return t.conn.SetAddElements(t.named[kindsMap], []nftables.SetElement{k.element()})
}

func (t *Table) putKindRules(k kind) {
	chain := t.conn.AddChain(&nftables.Chain{Table: t.table, Name: k.chain()})
	t.conn.FlushChain(chain)
	mark := []byte(kindsForm)
	for _, exprs := range t.kindRules(k) {
		t.conn.AddRule(&nftables.Rule{Table: t.table, Chain: chain, Exprs: exprs, UserData: mark})
		mark = nil
	}
}

func (t *Table) kindRules(k kind) [][]expr.Any {
	outside, elsewhere := false, false
	masquerade := Step{}
	load, indexAt, targets := loadFrontend(), uint32(reg3), Targets
	switch k.treatment() {
	case ForCluster:
		masquerade = Step{Pods: &outside, NodeItself: &elsewhere}
	case ForNodePort:
		load, indexAt, targets = loadNodePort(), reg2, NodeTargets
	}
	return [][]expr.Any{
		clearPriority(reg0),
		join(t.guards(masquerade), setMark(MasqueradeMark)),
		join(load, []expr.Any{
			&expr.Numgen{Register: indexAt, Modulus: uint32(k.targets()), Type: unix.NFT_NG_RANDOM},
			&expr.Lookup{SourceRegister: reg0, DestRegister: reg0, IsDestRegSet: true, SetName: targets},
			translate(),
		}),
	}
}

// pickRule leads what the map holds to the chain of its kind.
func pickRule(load []expr.Any, picks string) []expr.Any {
	return join(load, []expr.Any{
		&expr.Lookup{SourceRegister: reg0, DestRegister: reg0, IsDestRegSet: true, SetName: picks},
	}, throughPriority(), []expr.Any{verdictFrom(kindsMap)})
}

// readKindsLocked learns which kinds stand and how many elements use each, and
// puts rules of another form right.
func (t *Table) readKindsLocked(chains []*nftables.Chain, elements map[Key]string) error {
	clear(t.kinds)
	stale := false
	for _, chain := range chains {
		k, isKind := kindFromChain(chain.Name)
		if chain.Table.Name != TableName || !isKind {
			continue
		}
		rules, err := t.conn.GetRules(t.table, chain)
		if err != nil {
			return fmt.Errorf("read nftables chain %s: %w", chain.Name, err)
		}
		t.kinds[k] = 0
		if len(rules) == 0 || string(rules[0].UserData) != kindsForm {
			t.putKindRules(k)
			stale = true
		}
	}
	for key, value := range elements {
		if k, err := parseKind(value); isPick(key.Set) && err == nil {
			t.kinds[k]++
		}
	}
	if !stale {
		return nil
	}
	if err := t.conn.Flush(); err != nil {
		return fmt.Errorf("renew chains of nftables table ip %s: %w", TableName, err)
	}
	return nil
}

// encodeValue is an element's value as the kernel keeps it.
func encodeValue(set, value string) ([]byte, error) {
	if isPick(set) {
		k, err := parseKind(value)
		return nativeUint32(uint32(k)), err
	}
	at, err := netip.ParseAddrPort(value)
	if err != nil || !at.Addr().Is4() {
		return nil, fmt.Errorf("%q is no target", value)
	}
	return targetBytes(Target{Addr: at.Addr(), Port: at.Port()}), nil
}

// decodeValue is its opposite.
func decodeValue(set string, b []byte) (string, error) {
	switch {
	case isPick(set) && len(b) == 4:
		return kind(binary.NativeEndian.Uint32(b)).value(), nil
	case isTarget(set) && len(b) >= 6:
		return Target{Addr: netip.AddrFrom4([4]byte(b[:4])), Port: binary.BigEndian.Uint16(b[4:6])}.String(), nil
	}
	return "", fmt.Errorf("nftables map %s holds a value of %d bytes", set, len(b))
}
