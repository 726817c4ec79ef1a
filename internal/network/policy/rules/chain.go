package rules

import "strconv"

// Action is what happens to a packet that a rule matches.
type Action int

// Accept ends the judgement of one direction, Drop the packet. Jump goes on in
// a chain and comes back where that does not decide.
const (
	Accept Action = iota
	Drop
	Jump
)

// Rule is one rule of a chain. Empty fields match everything; the peer is the
// source of what comes in and the destination of what goes out.
type Rule struct {
	Peers  string      // the peer's address is in the set
	Blocks []AddrRange // or lies in one of the ranges
	// Protocol with Ports of the destination, all where there are none.
	Protocol uint8
	Ports    []PortRange
	// Named is a set that has the destination with protocol and port.
	Named string

	Action Action
	Chain  string // that Jump goes to
}

// Chain is the rules of one direction.
type Chain struct {
	Direction Direction
	Of        string // names it for people
	Rules     []Rule
}

// Prefixes of chain names by direction: of policies, of profiles and of their
// shelves.
var (
	policyPrefix  = [2]string{"pi-", "pe-"}
	profilePrefix = [2]string{"in-", "out-"}
	shelfPrefix   = [2]string{"si-", "se-"}
)

func policyChain(d Direction, k Key) string { return policyPrefix[d] + id(k.Namespace, k.Name) }

// chains renders one direction of a policy. Where a rule has several peers and
// several kinds of ports, the ports get a chain of their own, so that the
// number of rules is the sum and not the product.
func chains(k Key, d Direction, s *side) map[string]Chain {
	main := policyChain(d, k)
	out := map[string]Chain{}
	var rules []Rule
	for i, r := range s.rules {
		of := k.String() + " " + d.String() + "[" + strconv.Itoa(i) + "]"
		peers, ports := r.peerRules(), r.portRules()
		if len(peers) > 1 && len(ports) > 1 {
			sub := main + "-" + strconv.Itoa(i)
			out[sub] = Chain{Direction: d, Of: of, Rules: ports}
			ports = []Rule{{Action: Jump, Chain: sub}}
		}
		for _, peer := range peers {
			for _, port := range ports {
				port.Peers, port.Blocks = peer.Peers, peer.Blocks
				rules = append(rules, port)
			}
		}
	}
	out[main] = Chain{Direction: d, Of: k.String() + " " + d.String(), Rules: rules}
	return out
}

// peerRules match the peers, one kind of peer each.
func (r *rule) peerRules() []Rule {
	if r.anyPeer {
		return []Rule{{}}
	}
	var out []Rule
	for i := range r.peers {
		out = append(out, Rule{Peers: newGroup(r.peers[i]).name})
	}
	if len(r.blocks) > 0 {
		out = append(out, Rule{Blocks: r.blocks})
	}
	return out
}

// portRules match the ports, one kind each.
func (r *rule) portRules() []Rule {
	if r.anyPort {
		return []Rule{{}}
	}
	var out []Rule
	for _, p := range r.ports {
		out = append(out, Rule{Protocol: p.protocol, Ports: p.ranges})
	}
	for i := range r.named {
		out = append(out, Rule{Named: newGroup(r.named[i]).name})
	}
	return out
}
