package podnet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/network/nettest"
	"github.com/knarr-io/knarr/internal/network/ruleset"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// firewall writes rules as another owner does, into one table.
type firewall struct {
	conn  *nftables.Conn
	table *nftables.Table
}

func (f *firewall) base(name string, hook *nftables.ChainHook, priority nftables.ChainPriority, policy nftables.ChainPolicy) *nftables.Chain {
	return f.conn.AddChain(&nftables.Chain{Table: f.table, Name: name, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: &priority, Policy: &policy})
}

func (f *firewall) chain(name string) *nftables.Chain {
	return f.conn.AddChain(&nftables.Chain{Table: f.table, Name: name})
}

func (f *firewall) rule(c *nftables.Chain, exprs ...expr.Any) {
	f.conn.AddRule(&nftables.Rule{Table: f.table, Chain: c, Exprs: exprs})
}

func jump(to *nftables.Chain) expr.Any { return &expr.Verdict{Kind: expr.VerdictJump, Chain: to.Name} }

// established accepts what belongs to a connection that was accepted.
func (f *firewall) established(c *nftables.Chain) {
	f.rule(c, &expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: []byte{byte(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED), 0, 0, 0}, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)}, &expr.Verdict{Kind: expr.VerdictAccept})
}

func (f *firewall) loopback(c *nftables.Chain) {
	f.rule(c, &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte("lo\x00")}, &expr.Verdict{Kind: expr.VerdictAccept})
}

func open(table string, family nftables.TableFamily) (*firewall, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, err
	}
	t := &nftables.Table{Family: family, Name: table}
	conn.AddTable(t)
	conn.DelTable(t) // a reload begins anew
	return &firewall{conn, conn.AddTable(t)}, nil
}

// docker is what dockerd leaves at the forward hook.
func docker() error {
	f, err := open("filter", nftables.TableFamilyIPv4)
	if err != nil {
		return err
	}
	forward := f.base("FORWARD", nftables.ChainHookForward, *nftables.ChainPriorityFilter, nftables.ChainPolicyDrop)
	user, own := f.chain("DOCKER-USER"), f.chain("DOCKER-FORWARD")
	f.rule(forward, jump(user))
	f.rule(forward, jump(own))
	f.established(own)
	return f.conn.Flush()
}

// ufw is what `ufw enable` leaves with its defaults: nothing comes in, nothing
// passes.
func ufw() error {
	f, err := open("filter", nftables.TableFamilyIPv4)
	if err != nil {
		return err
	}
	for name, hook := range map[string]*nftables.ChainHook{"INPUT": nftables.ChainHookInput, "FORWARD": nftables.ChainHookForward} {
		part := map[string]string{"INPUT": "input", "FORWARD": "forward"}[name]
		base, before, user := f.base(name, hook, *nftables.ChainPriorityFilter, nftables.ChainPolicyDrop), f.chain("ufw-before-"+part), f.chain("ufw-user-"+part)
		f.rule(base, jump(before))
		f.loopback(before)
		f.established(before)
		f.rule(before, jump(user))
	}
	return f.conn.Flush()
}

// firewalld is what it leaves with the zone public for every link: its chains
// end by a refusal.
func firewalld() error {
	f, err := open("firewalld", nftables.TableFamilyINet)
	if err != nil {
		return err
	}
	for name, hook := range map[string]*nftables.ChainHook{"filter_INPUT": nftables.ChainHookInput, "filter_FORWARD": nftables.ChainHookForward} {
		base := f.base(name, hook, *nftables.ChainPriorityFilter+10, nftables.ChainPolicyAccept)
		f.established(base)
		f.loopback(base)
		f.rule(base, &expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED})
	}
	return f.conn.Flush()
}

// besides is a node with two pods, a Service of the second one, a port of the
// node's own, and a world.
type besides struct {
	t           *testing.T
	cfg         Config
	node        *nettest.Space
	a, b, world *nettest.Space
}

func newBesides(t *testing.T) *besides {
	t.Helper()
	x := &besides{t: t, cfg: config(t), node: nettest.New(t)}
	x.node.Node(x.cfg.Node.String())
	x.a, x.b, x.world = x.node.Pod("10.244.0.2"), x.node.Pod("10.244.0.3"), x.node.Pod("198.51.100.9")
	x.b.Answer(80, "b")
	x.node.Answer(53, "node")
	x.world.Answer(80, "world")
	table, err := ruleset.Open(ruleset.Config{Pods: x.cfg.Pods, NetNS: x.node.FD()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = table.Close() })
	standing, err := table.Current()
	if err != nil {
		t.Fatal(err)
	}
	state := ruleset.State{Chains: map[string]ruleset.Chain{}, Elements: map[ruleset.Key]string{}}
	service := ruleset.Key{Set: ruleset.Picks, Addr: netip.MustParseAddr("10.96.0.7"), Protocol: unix.IPPROTO_TCP, Port: 80}
	state.Elements[service] = ruleset.Pick(ruleset.ForCluster, 1)
	service.Set = ruleset.Targets
	state.Elements[service] = ruleset.Target{Addr: netip.MustParseAddr("10.244.0.3"), Port: 80}.String()
	if err := table.Apply(ruleset.Diff(standing, state)); err != nil {
		t.Fatal(err)
	}
	x.node.Do(func() error {
		err := netlink.RouteAdd(&netlink.Route{Dst: prefix(x.cfg.Services), LinkIndex: 1, Src: x.cfg.Node.AsSlice(), Scope: netlink.SCOPE_LINK})
		if errors.Is(err, unix.EEXIST) {
			return nil
		}
		return err
	})
	return x
}

// shut tells what does not answer.
func (x *besides) shut() (shut []string) {
	var mu sync.Mutex
	var asking sync.WaitGroup
	for address, what := range map[string]string{"10.244.0.3:80": "another pod", "10.96.0.7:80": "a Service", "198.51.100.9:80": "the world", x.cfg.Node.String() + ":53": "the node"} {
		asking.Go(func() {
			if _, err := x.a.Probe(address); err != nil {
				mu.Lock()
				defer mu.Unlock()
				shut = append(shut, what)
			}
		})
	}
	asking.Wait()
	return shut
}

func (x *besides) eventuallyOpen(when string) {
	x.t.Helper()
	await.Success(x.t, time.Minute, when+": everything is open", func() error {
		if shut := x.shut(); len(shut) > 0 {
			return fmt.Errorf("a pod does not reach %v", shut)
		}
		return nil
	})
}

// Pods reach each other, Services, the world and their node beside each of the
// firewalls that people have, also after one was loaded anew; and `down` leaves
// nothing in them.
func TestBesideOtherFirewalls(t *testing.T) {
	for name, load := range map[string]func() error{"Docker": docker, "ufw": ufw, "firewalld": firewalld} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newBesides(t)
			x.eventuallyOpen("alone")
			x.node.Do(load)
			if _, err := x.a.Probe("10.244.0.3:80"); err == nil {
				t.Fatal("the firewall of this test drops nothing")
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- x.node.Try(func() error { return Guard(ctx, x.cfg) }) }()
			x.eventuallyOpen("after it came")
			x.node.Do(load)
			x.eventuallyOpen("after a reload")
			if _, err := x.world.Probe(x.cfg.Node.String() + ":53"); err == nil && name != "Docker" {
				t.Error("the world is let in to the node")
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			x.node.Do(func() error { return dismiss(x.cfg) })
			if _, err := x.a.Probe("10.244.0.3:80"); err == nil {
				t.Error("our rules are left in the firewall")
			}
		})
	}
}

func TestNetworksOfFormerRulesAreReplaced(t *testing.T) {
	space, cfg := nettest.New(t), config(t)
	space.Do(func() error {
		if err := ufw(); err != nil {
			return err
		}
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		chains, err := conn.ListChains()
		if err != nil {
			return err
		}
		chain := openings()[1].in(chains)
		for _, network := range []string{"10.244.0.0/16", "10.200.0.0/16", "10.200.0.0/16"} {
			cfg.Pods = netip.MustParsePrefix(network)
			if err := admit(cfg); err != nil {
				return err
			}
			ours, err := ourRules(conn, chain)
			if err != nil {
				return err
			}
			if len(ours) != 2 {
				t.Errorf("%d rules of ours, want 2", len(ours))
			}
		}
		return nil
	})
}

// ufw flushes its chains and then removes those of the user, and iptables
// removes no chain with a rule in it: ufw would not start beside what is left.
func TestUfwCanRemoveItsChains(t *testing.T) {
	space, cfg := nettest.New(t), config(t)
	space.Do(func() error {
		if err := errors.Join(ufw(), admit(cfg)); err != nil {
			return err
		}
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		chains, err := conn.ListChains()
		if err != nil {
			return err
		}
		with := 0
		for _, c := range chains {
			ours, err := ourRules(conn, c)
			if err != nil {
				return err
			}
			if len(ours) > 0 {
				with++
			}
			if has := len(ours) > 0; has != strings.HasPrefix(c.Name, "ufw-before-") {
				t.Errorf("%s: %d rules of ours", c.Name, len(ours))
			}
		}
		if with == 0 {
			t.Errorf("no rule of ours in %d chains", len(chains))
		}
		return nil
	})
}

// Whoever flushes the whole rule set is noticed; those who change their own
// tables, or policies that change tables in turn, are not taken for that.
func TestFlushedRulesAreNoticed(t *testing.T) {
	x := newBesides(t)
	ended := make(chan error, 1)
	go func() { ended <- x.node.Try(func() error { return Guard(t.Context(), x.cfg) }) }()
	x.node.Do(ufw)
	x.eventuallyOpen("after ufw came") // so that Guard listens
	x.node.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		other := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "knarr-policy2"})
		conn.DelTable(other)
		if err := conn.Flush(); err != nil {
			return err
		}
		return ufw()
	})
	x.eventuallyOpen("after a reload")
	if len(ended) > 0 {
		t.Fatalf("ended for a table that is not the Services': %v", <-ended)
	}
	x.node.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		conn.FlushRuleset()
		return conn.Flush()
	})
	if err := <-ended; !errors.Is(err, ErrFlushed) {
		t.Errorf("ended by %v", err)
	}
}
