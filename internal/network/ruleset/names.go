package ruleset

import "github.com/google/nftables"

// The names inside the table.
const (
	TableName = "knarr"

	// Frontends maps address . protocol . port to a verdict.
	Frontends = "frontends"
	// NodePorts maps protocol . port of any of the node's addresses.
	NodePorts = "nodeports"
	// Refused holds frontends without endpoints, RefusedPorts node ports.
	Refused      = "refused"
	RefusedPorts = "refused-ports"
	// Picks maps address . protocol . port to what Pick says of it, NodePicks
	// protocol . port of the node.
	Picks     = "picks"
	NodePicks = "node-picks"
	// Targets maps address . protocol . port . number to a target of the
	// frontend, NodeTargets protocol . port . number.
	Targets     = "targets"
	NodeTargets = "node-targets"
	// Hairpin holds pairs of one address: a pod that reached itself through
	// a Service.
	Hairpin = "hairpin"
)

const (
	chainPrerouting  = "prerouting"
	chainOutput      = "output"
	chainServices    = "services"
	chainPostrouting = "postrouting"
	chainRefuse      = "refuse"
	chainForwardHook = "filter-forward"
	chainInputHook   = "filter-input"
	chainOutputHook  = "filter-output"

	// kindsMap leads a kind to its chain.
	kindsMap = "kinds"
)

// MasqueradeMark is the packet mark of traffic whose source must become the
// node's on its way out. It is the bit that upstream's kube-proxy uses, so
// that other tools which know it keep out of its way.
const MasqueradeMark uint32 = 0x4000

func (t *Table) frontendKey() nftables.SetDatatype {
	return nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService)
}

func (t *Table) portKey() nftables.SetDatatype {
	return nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService)
}

// sets are the table's named sets and maps.
func (t *Table) sets() []*nftables.Set {
	set := func(name string, key nftables.SetDatatype) *nftables.Set {
		return &nftables.Set{Table: t.table, Name: name, KeyType: key, Concatenation: true}
	}
	vmap := func(name string, key nftables.SetDatatype) *nftables.Set {
		s := set(name, key)
		s.IsMap, s.DataType = true, nftables.TypeVerdict
		return s
	}
	data := func(name string, key, value nftables.SetDatatype) *nftables.Set {
		s := set(name, key)
		s.IsMap, s.DataType = true, value
		return s
	}
	kinds := vmap(kindsMap, nftables.TypeMark)
	kinds.Concatenation = false
	number := nftables.TypeMark
	return []*nftables.Set{
		kinds,
		data(Picks, t.frontendKey(), nftables.TypeMark),
		data(NodePicks, t.portKey(), nftables.TypeMark),
		data(Targets, nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService, number), targetType()),
		data(NodeTargets, nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService, number), targetType()),
		vmap(Frontends, t.frontendKey()),
		vmap(NodePorts, t.portKey()),
		set(Refused, t.frontendKey()),
		set(RefusedPorts, t.portKey()),
		set(Hairpin, nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIPAddr)),
	}
}
