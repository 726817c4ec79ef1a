package rules

import (
	"net/netip"
	"slices"
)

// Flow is a connection, or the first packet of one: who began it, and whom it
// reaches after all translation. Protocol is an IP number; Port is zero where
// the protocol has none.
type Flow struct {
	Source, Destination netip.Addr
	Protocol            uint8
	Port                uint16
}

// Verdict is what one end of a flow says to it.
type Verdict struct {
	Direction Direction
	// Pod is the local pod at that end; the zero value where there is none,
	// and then everything is allowed.
	Pod Key
	// Policies are those that select the pod in the direction, in the order
	// of their names. Nobody restricts it where there are none.
	Policies []Key
	Allowed  bool
	// By is the policy that allows, and Rule the index of its rule; the zero
	// Key where no policy is needed to allow it.
	By   Key
	Rule int
}

// Judge tells what the two ends say: the source's egress and the
// destination's ingress, of pods that are local. What a pod sends to itself
// nobody restricts.
func (b *Book) Judge(f Flow) [2]Verdict {
	out := [2]Verdict{b.judge(Ingress, f.Destination, f.Source, f), b.judge(Egress, f.Source, f.Destination, f)}
	if f.Source == f.Destination {
		out[Ingress].Allowed, out[Egress].Allowed = true, true
	}
	return out
}

// Allowed tells whether both ends allow the flow.
func (b *Book) Allowed(f Flow) bool {
	v := b.Judge(f)
	return v[Ingress].Allowed && v[Egress].Allowed
}

func (b *Book) judge(d Direction, subject, peer netip.Addr, f Flow) Verdict {
	v := Verdict{Direction: d, Allowed: true}
	p := b.owner(b.claims[subject])
	if p == nil || !p.Local {
		return v
	}
	v.Pod = p.Key
	var of []*policy
	for policy := range p.policies {
		if policy.rules.sides[d] != nil {
			of = append(of, policy)
		}
	}
	slices.SortFunc(of, func(x, y *policy) int { return compareKeys(x.key, y.key) })
	for _, policy := range of {
		v.Policies = append(v.Policies, policy.key)
	}
	for _, policy := range of {
		for i := range policy.rules.sides[d].rules {
			if b.allows(&policy.rules.sides[d].rules[i], peer, f) {
				v.By, v.Rule = policy.key, i
				return v
			}
		}
	}
	v.Allowed = len(of) == 0
	return v
}

func (b *Book) allows(r *rule, peer netip.Addr, f Flow) bool {
	return (r.anyPeer || inAddrs(r.blocks, peer) || b.inAny(r.peers, Member{Addr: peer})) &&
		(r.anyPort || r.takesPort(f) || b.inAny(r.named, Member{f.Destination, f.Protocol, f.Port}))
}

func (r *rule) takesPort(f Flow) bool {
	return slices.ContainsFunc(r.ports, func(p protocolPorts) bool {
		return p.protocol == f.Protocol && (len(p.ranges) == 0 || inPorts(p.ranges, f.Port))
	})
}

func (b *Book) inAny(specs []groupSpec, m Member) bool {
	return slices.ContainsFunc(specs, func(s groupSpec) bool {
		g := b.groups[s.key()]
		if g == nil {
			return false
		}
		_, in := g.members[m]
		return in
	})
}
