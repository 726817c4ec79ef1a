package kernel

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

// The sets and maps that every table has: subjects with their profiles by
// direction, and pairs of one address.
const (
	mapIn   = "in"
	mapOut  = "out"
	setSelf = "self"
)

var subjectMaps = [2]string{rules.Ingress: mapIn, rules.Egress: mapOut}

// Priorities: all after destinations are translated (-100) and after refusals
// of Services without endpoints (-10). Egress comes first.
const (
	egressPriority  = -8
	ingressPriority = -7
	// edgeSource comes before the other translation of sources (100), and the
	// judgement of the edge after it.
	edgeSourcePriority = 90
	edgePriority       = 110
)

// baseChain is a hook with its rules.
type baseChain struct {
	name     string
	kind     nftables.ChainType
	hook     *nftables.ChainHook
	priority nftables.ChainPriority
	rules    [][]expr.Any
}

func (t *Table) baseChains(edge netip.Addr) []baseChain {
	filter := nftables.ChainTypeFilter
	known := join(matchState(expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), []expr.Any{verdict(expr.VerdictAccept, "")})
	self := []expr.Any{loadAddress(sourceOffset, reg0), loadAddress(destinationOffset, reg1), inSet(setSelf), verdict(expr.VerdictAccept, "")}
	judge := func(d rules.Direction) []expr.Any {
		return []expr.Any{loadAddress(subjectOffset(d), reg0),
			&expr.Lookup{SourceRegister: reg0, DestRegister: unix.NFT_REG_VERDICT, IsDestRegSet: true, SetName: subjectMaps[d]}}
	}
	ofNode := []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg0}, equals([]byte("lo\x00")), verdict(expr.VerdictAccept, "")}
	out := []baseChain{
		{"forward-egress", filter, nftables.ChainHookForward, egressPriority, append(t.firstPackets(known), self, judge(rules.Egress))},
		{"forward-ingress", filter, nftables.ChainHookForward, ingressPriority, [][]expr.Any{known, self, judge(rules.Ingress)}},
		{"input-egress", filter, nftables.ChainHookInput, egressPriority, append(t.firstPackets(known), judge(rules.Egress))},
		{"input-ingress", filter, nftables.ChainHookInput, ingressPriority, [][]expr.Any{known, ofNode, judge(rules.Ingress)}},
	}
	if !edge.IsValid() {
		return out
	}
	address := edge.As4()
	return append(out,
		baseChain{"edge-source", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, edgeSourcePriority, [][]expr.Any{t.edgeSource(edge)}},
		baseChain{"edge-ingress", filter, nftables.ChainHookPostrouting, edgePriority, [][]expr.Any{
			{loadAddress(sourceOffset, reg0), differs(address[:]), verdict(expr.VerdictAccept, "")}, known, judge(rules.Ingress)}})
}

// firstPackets begins the chains that come first: what cannot be the first
// packet of a connection from or to a subject ends here. Without that the
// other side of a connection that was ended could open it anew, in a direction
// that nobody restricts.
func (t *Table) firstPackets(known []expr.Any) [][]expr.Any {
	out := [][]expr.Any{known}
	if t.cfg.PodLinks != "" {
		out = append(out, t.spoofed())
	}
	for _, broken := range [][]expr.Any{matchState(expr.CtStateBitINVALID), matchLate()} {
		for _, end := range []uint32{sourceOffset, destinationOffset} {
			out = append(out, join(broken, []expr.Any{loadAddress(end, reg0), loadAddress(end, reg1), inSet(setSelf), verdict(expr.VerdictDrop, "")}))
		}
	}
	return out
}

// spoofed ends what a pod sends from another's address, which would get around
// its policies.
func (t *Table) spoofed() []expr.Any {
	from := matchLinkPrefix(t.cfg.PodLinks, false)
	for _, other := range t.cfg.OtherLinks {
		from = append(from, matchLinkPrefix(other, true)...)
	}
	return join(from, matchSpoofed(), []expr.Any{verdict(expr.VerdictDrop, "")})
}

// edgeSource gives what the edge sends to pods the address that it is known
// by.
func (t *Table) edgeSource(edge netip.Addr) []expr.Any {
	first, address := t.cfg.Pods.Masked().Addr().As4(), edge.As4()
	mask := uint64(1)<<32 - uint64(1)<<(32-t.cfg.Pods.Bits())
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeySKUID, Register: reg0}, equals(native(t.cfg.EdgeUser)),
		loadAddress(destinationOffset, reg0),
		&expr.Bitwise{SourceRegister: reg0, DestRegister: reg0, Len: 4, Mask: big32(uint32(mask)), Xor: make([]byte, 4)},
		equals(first[:]),
		&expr.Immediate{Register: reg0, Data: address[:]},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: reg0},
	}
}

// baseSets are the sets that every table has.
func (t *Table) baseSets() []*nftables.Set {
	return []*nftables.Set{t.subjectMap(rules.Ingress), t.subjectMap(rules.Egress), t.selfSet()}
}

func (t *Table) subjectMap(d rules.Direction) *nftables.Set {
	return &nftables.Set{Table: t.table, Name: subjectMaps[d], IsMap: true, KeyType: nftables.TypeIPAddr, DataType: nftables.TypeVerdict}
}

func (t *Table) selfSet() *nftables.Set {
	return &nftables.Set{Table: t.table, Name: setSelf, Concatenation: true, KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIPAddr)}
}

// namedSet is the set of a group.
func (t *Table) namedSet(name string, kind rules.SetKind) *nftables.Set {
	s := &nftables.Set{Table: t.table, Name: name, KeyType: nftables.TypeIPAddr}
	if kind == rules.Ports {
		s.Concatenation = true
		s.KeyType = nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService)
	}
	return s
}
