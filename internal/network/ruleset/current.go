package ruleset

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Standing is what the kernel holds now: the digest of each chain of the
// proxy's, and every element with the chain it leads to.
type Standing struct {
	Chains   map[string]string
	Elements map[Key]string
}

// Current reads the table from the kernel, so that a restarted process goes on
// from what stands instead of starting over.
func (t *Table) Current() (Standing, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := Standing{Chains: map[string]string{}, Elements: map[Key]string{}}
	chains, err := t.conn.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return Standing{}, fmt.Errorf("list nftables chains: %w", err)
	}
	for _, chain := range chains {
		if chain.Table.Name != TableName || !proxyChain(chain.Name) {
			continue
		}
		rules, err := t.conn.GetRules(t.table, chain)
		if err != nil {
			return Standing{}, fmt.Errorf("read nftables chain %s: %w", chain.Name, err)
		}
		now.Chains[chain.Name] = ""
		if len(rules) > 0 {
			now.Chains[chain.Name] = string(rules[0].UserData)
		}
	}
	if err := t.readStickyLocked(); err != nil {
		return Standing{}, err
	}
	for _, set := range t.named {
		if set.Name == kindsMap {
			continue
		}
		elements, err := t.conn.GetSetElements(set)
		if err != nil {
			return Standing{}, fmt.Errorf("read nftables set %s: %w", set.Name, err)
		}
		for _, e := range elements {
			key, ok := keyFrom(set.Name, e.Key)
			if !ok {
				return Standing{}, fmt.Errorf("nftables set %s holds an element of %d bytes", set.Name, len(e.Key))
			}
			if isPick(set.Name) || isTarget(set.Name) {
				now.Elements[key], err = decodeValue(set.Name, e.Val)
			} else {
				now.Elements[key], err = verdictChain(set, e.Val)
			}
			if err != nil {
				return Standing{}, err
			}
		}
	}
	return now, t.readKindsLocked(chains, now.Elements)
}

// verdictChain is the chain that an element of a verdict map leads to: the
// library hands the verdict's attributes over undecoded.
func verdictChain(set *nftables.Set, val []byte) (string, error) {
	if !set.IsMap {
		return "", nil
	}
	ad, err := netlink.NewAttributeDecoder(val)
	if err != nil {
		return "", fmt.Errorf("verdict in nftables map %s: %w", set.Name, err)
	}
	chain := ""
	for ad.Next() {
		if ad.Type() == unix.NFTA_VERDICT_CHAIN {
			chain = ad.String()
		}
	}
	if err := ad.Err(); err != nil {
		return "", fmt.Errorf("verdict in nftables map %s: %w", set.Name, err)
	}
	return chain, nil
}

// proxyChain tells chains that Apply makes from those of the base.
func proxyChain(name string) bool {
	for _, prefix := range []string{"svc-", "loc-", "ext-", "fw-", "host-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Diff tells how to get from what stands to what is wanted.
func Diff(standing Standing, want State) Change {
	c := Change{SetChains: map[string]Chain{}, DropChains: map[string]struct{}{}, SetKeys: map[Key]string{}, DropKeys: map[Key]string{}}
	for name, chain := range want.Chains {
		if digest, ok := standing.Chains[name]; !ok || digest != chain.Digest() {
			c.SetChains[name] = chain
		}
	}
	for name := range standing.Chains {
		if _, ok := want.Chains[name]; !ok {
			c.DropChains[name] = struct{}{}
		}
	}
	for key, verdict := range want.Elements {
		if old, ok := standing.Elements[key]; !ok {
			c.SetKeys[key] = verdict
		} else if old != verdict {
			c.SetKeys[key], c.DropKeys[key] = verdict, old
		}
	}
	for key, verdict := range standing.Elements {
		if _, ok := want.Elements[key]; !ok {
			c.DropKeys[key] = verdict
		}
	}
	return c
}

// stickySet is the name of a map of clients: its chain and a rule's index. That
// of an earlier form, with targets instead of their numbers, was -c.
var stickySet = regexp.MustCompile(`^(.+)-[cm]\d+$`)

func (t *Table) readStickyLocked() error {
	sets, err := t.conn.GetSets(t.table)
	if err != nil {
		return fmt.Errorf("list nftables sets: %w", err)
	}
	clear(t.sticky)
	for _, set := range sets {
		if m := stickySet.FindStringSubmatch(set.Name); m != nil {
			t.sticky[m[1]] = append(t.sticky[m[1]], set.Name)
		}
	}
	return nil
}
