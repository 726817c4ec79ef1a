package ruleset

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// readable tells what libnftables could not read of a rule: it knows how long a
// loaded value is, but not one that a lookup found, and asserts that it knows
// where a lookup or a dynamic set uses it.
func readable(rule []expr.Any) error {
	found := map[uint32]bool{}
	for _, e := range rule {
		switch e := e.(type) {
		case *expr.Lookup:
			if found[e.SourceRegister] {
				return fmt.Errorf("set %s is asked for what another set gave", e.SetName)
			}
			if e.IsDestRegSet && e.DestRegister != unix.NFT_REG_VERDICT {
				found[e.DestRegister] = true
			}
		case *expr.Dynset:
			if found[e.SrcRegKey] || found[e.SrcRegData] {
				return fmt.Errorf("set %s is to hold what another set gave", e.SetName)
			}
		case *expr.Bitwise:
			found[e.DestRegister] = found[e.SourceRegister]
		case *expr.Meta:
			if !e.SourceRegister {
				found[e.Register] = false
			}
		case *expr.Payload:
			found[e.DestRegister] = false
		case *expr.Immediate:
			found[e.Register] = false
		case *expr.Numgen:
			found[e.Register] = false
		}
	}
	return nil
}

func TestReadable(t *testing.T) {
	load := &expr.Payload{DestRegister: reg0, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4}
	first := &expr.Lookup{SourceRegister: reg0, DestRegister: reg0, IsDestRegSet: true, SetName: "first"}
	for name, rule := range map[string][]expr.Any{
		"twice":      {load, first, verdictFrom("second")},
		"masked":     {load, first, &expr.Bitwise{SourceRegister: reg0, DestRegister: reg0, Len: 4}, inSet("second")},
		"remembered": {load, first, &expr.Dynset{SrcRegKey: regClient, SrcRegData: reg0, SetName: "second"}},
	} {
		if readable(rule) == nil {
			t.Errorf("%s: held for readable", name)
		}
	}
	if err := readable([]expr.Any{load, first, load, inSet("second")}); err != nil {
		t.Error(err)
	}
}

// Whoever lists the machine's rules (nft list ruleset, a reload of firewalld)
// must be able to read ours.
func TestOthersCanReadTheRules(t *testing.T) {
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	table := &Table{cfg: Config{Pods: netip.MustParsePrefix("10.244.0.0/16")}, conn: conn, sticky: map[string][]string{},
		table: &nftables.Table{Family: nftables.TableFamilyIPv4, Name: TableName}}
	all := table.baseRules()
	for _, treatment := range []Treatment{ForCluster, ForWorld, ForNodePort} {
		k := kindOf(treatment, 3)
		all = append(all, chainRules{k.chain(), table.kindRules(k)})
	}
	for name, sticky := range map[string]time.Duration{"svc": 0, "svc-sticky": time.Minute} {
		targets := []Target{{netip.MustParseAddr("10.244.0.2"), 80}, {netip.MustParseAddr("10.244.0.3"), 80}}
		rules, err := table.stepRules(name, 0, Step{Balance: targets, Sticky: sticky})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, chainRules{name, rules})
	}
	for _, c := range all {
		for i, rule := range c.rules {
			if err := readable(rule); err != nil {
				t.Errorf("chain %s, rule %d: %v", c.chain, i, err)
			}
		}
	}
}
