package ruleset

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Target is where a packet may be sent instead.
type Target struct {
	Addr netip.Addr
	Port uint16
}

func (t Target) String() string { return netip.AddrPortFrom(t.Addr, t.Port).String() }

// Step is one rule of a chain, in the words of the service proxy. Exactly one
// of the fields is set, but for the guards From and Local.
type Step struct {
	// Pods restricts the step to packets from the pod network (true) or from
	// outside of it (false).
	Pods *bool
	// NodeItself restricts the step to packets that the node sent (true) or
	// that came from elsewhere (false).
	NodeItself *bool
	// Clients restricts the step to a source network.
	Clients *netip.Prefix

	// Masquerade marks the packet so that it leaves with the node's address.
	Masquerade bool
	// Goto goes on in another chain.
	Goto string
	// Drop ends the packet.
	Drop bool
	// Balance sends the connection to one of the targets at random.
	Balance []Target
	// Sticky, with Balance, sends a client to the same target again within
	// the time.
	Sticky time.Duration
}

// Chain is the content of a chain.
type Chain []Step

// chainForm names the rules that stepRules makes; chains of another form that
// are found in the kernel are replaced.
const chainForm = "3"

// Digest names the content: equal chains have equal digests.
func (c Chain) Digest() string {
	h := sha256.New()
	h.Write([]byte(chainForm))
	for _, s := range c {
		fmt.Fprintf(h, "%v %v %v %v %q %v %v %v\n", flag(s.Pods), flag(s.NodeItself), s.Clients, s.Masquerade, s.Goto, s.Drop, s.Balance, s.Sticky)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

func flag(b *bool) string {
	if b == nil {
		return "-"
	}
	return fmt.Sprint(*b)
}

// addChain queues the creation or atomic replacement of a chain.
func (t *Table) addChain(name string, content Chain) error {
	chain := t.conn.AddChain(&nftables.Chain{Table: t.table, Name: name})
	t.conn.FlushChain(chain)
	digest := []byte(content.Digest())
	for i, step := range content {
		rules, err := t.stepRules(name, i, step)
		if err != nil {
			return fmt.Errorf("chain %s: %w", name, err)
		}
		for _, exprs := range rules {
			t.conn.AddRule(&nftables.Rule{Table: t.table, Chain: chain, Exprs: exprs, UserData: digest})
			digest = nil // only the first rule carries it
		}
	}
	return nil
}

func (t *Table) guards(step Step) []expr.Any {
	var out []expr.Any
	if step.Pods != nil {
		out = append(out, matchNetwork(Source, t.cfg.Pods, !*step.Pods)...)
	}
	if step.NodeItself != nil {
		out = append(out, matchLocal(Source, !*step.NodeItself)...)
	}
	if step.Clients != nil {
		out = append(out, matchNetwork(Source, *step.Clients, false)...)
	}
	return out
}

func (t *Table) stepRules(chain string, index int, step Step) ([][]expr.Any, error) {
	guards := t.guards(step)
	switch {
	case step.Masquerade:
		return [][]expr.Any{join(guards, setMark(MasqueradeMark))}, nil
	case step.Goto != "":
		return [][]expr.Any{join(guards, []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: step.Goto}})}, nil
	case step.Drop:
		return [][]expr.Any{join(guards, []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}})}, nil
	case len(step.Balance) > 0 && step.Sticky > 0:
		return t.stick(chain, index, step, guards)
	case len(step.Balance) > 0:
		return t.balance(step, guards)
	}
	return nil, fmt.Errorf("rule %d says nothing", index)
}

// balance picks a target at random from an anonymous map and translates the
// destination to it: one rule, whatever the number of targets.
func (t *Table) balance(step Step, guards []expr.Any) ([][]expr.Any, error) {
	pick := &nftables.Set{Table: t.table, Anonymous: true, Constant: true, IsMap: true,
		KeyType: nftables.TypeMark, DataType: targetType()}
	elements := make([]nftables.SetElement, len(step.Balance))
	for i, target := range step.Balance {
		elements[i] = nftables.SetElement{Key: nativeUint32(uint32(i)), Val: targetBytes(target)}
	}
	if err := t.addMap(pick, elements); err != nil {
		return nil, fmt.Errorf("map of targets: %w", err)
	}
	return [][]expr.Any{join(guards, []expr.Any{
		&expr.Numgen{Register: reg0, Modulus: uint32(len(step.Balance)), Type: unix.NFT_NG_RANDOM},
		&expr.Lookup{SourceRegister: reg0, DestRegister: reg0, IsDestRegSet: true, SetID: pick.ID, SetName: pick.Name},
		translate(),
	})}, nil
}

// translate sends the packet to the target that was found.
func translate() expr.Any {
	return &expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: reg0, RegProtoMin: reg1, Specified: true}
}

func targetType() nftables.SetDatatype {
	return nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService)
}

func targetBytes(t Target) []byte {
	addr := t.Addr.As4()
	return append(addr[:], byte(t.Port>>8), byte(t.Port), 0, 0)
}
