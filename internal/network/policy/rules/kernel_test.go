package rules_test

import (
	"fmt"
	"net/netip"

	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

// kernel carries out changes as nftables would and judges packets by what it
// holds; it refuses what the kernel refuses.
type kernel struct {
	sets     map[string]map[rules.Member]bool
	chains   map[string]rules.Chain
	subjects [2]map[netip.Addr]string
}

func newKernel() *kernel {
	return &kernel{sets: map[string]map[rules.Member]bool{}, chains: map[string]rules.Chain{},
		subjects: [2]map[netip.Addr]string{{}, {}}}
}

func (k *kernel) apply(c rules.Change) error {
	for name := range c.AddSets {
		if k.sets[name] != nil {
			return fmt.Errorf("set %s stands already", name)
		}
		k.sets[name] = map[rules.Member]bool{}
	}
	for name, members := range c.AddMembers {
		for _, m := range members {
			if k.sets[name] == nil || k.sets[name][m] {
				return fmt.Errorf("cannot add %v to set %s", m, name)
			}
			k.sets[name][m] = true
		}
	}
	for name, chain := range c.SetChains {
		k.chains[name] = chain
	}
	for d := range 2 {
		for a, old := range c.DropSubjects[d] {
			if k.subjects[d][a] != old {
				return fmt.Errorf("%s is no subject of %s", a, old)
			}
			delete(k.subjects[d], a)
		}
		for a, chain := range c.SetSubjects[d] {
			if _, twice := k.subjects[d][a]; twice {
				return fmt.Errorf("%s is a subject already", a)
			}
			k.subjects[d][a] = chain
		}
	}
	for name, members := range c.DropMembers {
		for _, m := range members {
			if !k.sets[name][m] {
				return fmt.Errorf("cannot drop %v from set %s", m, name)
			}
			delete(k.sets[name], m)
		}
	}
	for _, name := range c.DropChains {
		delete(k.chains, name)
	}
	for _, name := range c.DropSets {
		if k.sets[name] == nil {
			return fmt.Errorf("set %s does not stand", name)
		}
		delete(k.sets, name)
	}
	return k.whole()
}

// whole finds references to what is not there.
func (k *kernel) whole() error {
	for name, chain := range k.chains {
		for _, r := range chain.Rules {
			for _, set := range []string{r.Peers, r.Named} {
				if set != "" && k.sets[set] == nil {
					return fmt.Errorf("chain %s refers to set %s", name, set)
				}
			}
			if _, ok := k.chains[r.Chain]; r.Chain != "" && !ok {
				return fmt.Errorf("chain %s leads to chain %s", name, r.Chain)
			}
		}
	}
	for d := range 2 {
		for a, chain := range k.subjects[d] {
			if _, ok := k.chains[chain]; !ok {
				return fmt.Errorf("%s leads to chain %s", a, chain)
			}
		}
	}
	return nil
}

func (k *kernel) allows(d rules.Direction, f rules.Flow) bool {
	if f.Source == f.Destination {
		return true // the base has a rule for that
	}
	subject, peer := f.Destination, f.Source
	if d == rules.Egress {
		subject, peer = f.Source, f.Destination
	}
	chain, ok := k.subjects[d][subject]
	if !ok {
		return true
	}
	decided, allowed := k.walk(chain, peer, f)
	return decided && allowed
}

func (k *kernel) walk(chain string, peer netip.Addr, f rules.Flow) (decided, allowed bool) {
	for _, r := range k.chains[chain].Rules {
		if !k.matches(r, peer, f) {
			continue
		}
		switch r.Action {
		case rules.Accept:
			return true, true
		case rules.Drop:
			return true, false
		}
		if decided, allowed = k.walk(r.Chain, peer, f); decided {
			return
		}
	}
	return false, false
}

func (k *kernel) matches(r rules.Rule, peer netip.Addr, f rules.Flow) bool {
	if r.Peers != "" && !k.sets[r.Peers][rules.Member{Addr: peer}] {
		return false
	}
	if r.Blocks != nil && !inBlocks(r.Blocks, peer) {
		return false
	}
	if r.Protocol != 0 && r.Protocol != f.Protocol {
		return false
	}
	if r.Named != "" && !k.sets[r.Named][rules.Member{Addr: f.Destination, Protocol: f.Protocol, Port: f.Port}] {
		return false
	}
	for _, p := range r.Ports {
		if p.First <= f.Port && f.Port <= p.Last {
			return true
		}
	}
	return len(r.Ports) == 0
}

func inBlocks(blocks []rules.AddrRange, a netip.Addr) bool {
	b := a.As4()
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	for _, r := range blocks {
		if r.First <= n && n <= r.Last {
			return true
		}
	}
	return false
}
