package ruleset

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Config says what the base rules are about.
type Config struct {
	// Pods is the pod network of the whole cluster.
	Pods netip.Prefix
	// Behind is the network of nodes that reach the world through this one;
	// the zero value where there is none.
	Behind netip.Prefix
	// NetNS is a file descriptor of the network namespace to work in; zero is
	// the caller's own.
	NetNS int
}

// Table is the installed table. Batches are applied one at a time; it is safe
// for concurrent use.
type Table struct {
	cfg   Config
	table *nftables.Table

	mu   sync.Mutex
	conn *nftables.Conn
	// sticky names the maps of clients that belong to a chain.
	sticky map[string][]string
	// kinds are those that stand, with the number of elements that use each.
	kinds map[kind]int
	named map[string]*nftables.Set
	setID uint32 // the last given
}

// Open installs the table's base, or refreshes it where it stands already.
func Open(cfg Config) (*Table, error) {
	opts := []nftables.ConnOption{nftables.AsLasting(), nftables.WithSockOptions(roomForBatches)}
	if cfg.NetNS != 0 {
		opts = append(opts, nftables.WithNetNSFd(cfg.NetNS))
	}
	conn, err := nftables.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("open netlink to nftables (is the kernel built with nf_tables, and are you root?): %w", err)
	}
	t := &Table{cfg: cfg, conn: conn, sticky: map[string][]string{}, kinds: map[kind]int{}, named: map[string]*nftables.Set{},
		table: &nftables.Table{Family: nftables.TableFamilyIPv4, Name: TableName}}
	for _, set := range t.sets() {
		t.named[set.Name] = set
	}
	if err := t.install(); err != nil {
		return nil, errors.Join(err, conn.CloseLasting())
	}
	return t, nil
}

// roomForBatches makes the socket take a batch of batchSize chains with their
// endpoints, and the kernel's answers to it.
func roomForBatches(c *netlink.Conn) error {
	const room = 4 << 20
	return errors.Join(c.SetWriteBuffer(room), c.SetReadBuffer(room))
}

// Close lets go of the kernel; the rules stay.
func (t *Table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.conn.CloseLasting()
}

// Remove deletes the table with everything in it. It is no error where there
// is none.
func Remove(netns int) error {
	conn, err := nftables.New(nftables.WithNetNSFd(netns))
	if err != nil {
		return fmt.Errorf("open netlink to nftables: %w", err)
	}
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: TableName}
	conn.AddTable(table) // so that deleting never fails
	conn.DelTable(table)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("delete nftables table ip %s: %w", TableName, err)
	}
	return nil
}

func (t *Table) install() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conn.AddTable(t.table)
	for _, set := range t.named {
		if err := t.addSet(set, nil); err != nil {
			return fmt.Errorf("nftables set %s: %w", set.Name, err)
		}
	}
	for _, name := range []string{chainServices, chainRefuse} {
		t.conn.AddChain(&nftables.Chain{Table: t.table, Name: name})
	}
	for _, hook := range t.hooks() {
		t.conn.AddChain(hook)
	}
	for _, base := range t.baseRules() {
		chain := &nftables.Chain{Table: t.table, Name: base.chain}
		t.conn.FlushChain(chain)
		for _, exprs := range base.rules {
			t.conn.AddRule(&nftables.Rule{Table: t.table, Chain: chain, Exprs: exprs})
		}
	}
	if err := t.conn.Flush(); err != nil {
		return fmt.Errorf("install nftables table ip %s: %w", TableName, err)
	}
	return nil
}

// hooks are the base chains. The filter hooks come before the usual
// priority so that a refusal is seen whatever else filters there.
func (t *Table) hooks() []*nftables.Chain {
	hook := func(name string, kind nftables.ChainType, at *nftables.ChainHook, priority nftables.ChainPriority) *nftables.Chain {
		accept := nftables.ChainPolicyAccept
		return &nftables.Chain{Table: t.table, Name: name, Type: kind, Hooknum: at, Priority: &priority, Policy: &accept}
	}
	const beforeFilter = -10
	return []*nftables.Chain{
		hook(chainPrerouting, nftables.ChainTypeNAT, nftables.ChainHookPrerouting, -100),
		hook(chainOutput, nftables.ChainTypeNAT, nftables.ChainHookOutput, -100),
		hook(chainPostrouting, nftables.ChainTypeNAT, nftables.ChainHookPostrouting, 100),
		hook(chainForwardHook, nftables.ChainTypeFilter, nftables.ChainHookForward, beforeFilter),
		hook(chainInputHook, nftables.ChainTypeFilter, nftables.ChainHookInput, beforeFilter),
		hook(chainOutputHook, nftables.ChainTypeFilter, nftables.ChainHookOutput, beforeFilter),
	}
}

// chainRules are the rules of one chain of the base.
type chainRules struct {
	chain string
	rules [][]expr.Any
}

func (t *Table) baseRules() []chainRules {
	// A reset reaches a process of the node itself too, whose packet has no
	// way back for an ICMP error; other protocols get "port unreachable".
	reset := &expr.Reject{Type: unix.NFT_REJECT_TCP_RST}
	reject := &expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: 3}
	masquerade := &expr.Masq{FullyRandom: true}
	toServices := [][]expr.Any{{jump(chainServices)}}
	toRefuse := [][]expr.Any{join(matchNew(), []expr.Any{jump(chainRefuse)})}
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	multicast := netip.MustParsePrefix("224.0.0.0/4")
	return []chainRules{
		{chainPrerouting, toServices},
		{chainOutput, toServices},
		{chainServices, [][]expr.Any{
			pickRule(loadFrontend(), Picks),
			join(loadFrontend(), []expr.Any{verdictFrom(Frontends)}),
			pickRule(join(matchLocal(Destination, false), matchNetwork(Destination, loopback, true), loadNodePort()), NodePicks),
			join(matchLocal(Destination, false), matchNetwork(Destination, loopback, true), loadNodePort(), []expr.Any{verdictFrom(NodePorts)}),
		}},
		{chainRefuse, [][]expr.Any{
			join(matchTCP(), loadFrontend(), []expr.Any{inSet(Refused), reset}),
			join(loadFrontend(), []expr.Any{inSet(Refused), reject}),
			join(matchLocal(Destination, false), matchTCP(), loadNodePort(), []expr.Any{inSet(RefusedPorts), reset}),
			join(matchLocal(Destination, false), loadNodePort(), []expr.Any{inSet(RefusedPorts), reject}),
		}},
		{chainForwardHook, toRefuse},
		{chainInputHook, toRefuse},
		{chainOutputHook, toRefuse},
		{chainPostrouting, append([][]expr.Any{
			join(matchMark(MasqueradeMark), []expr.Any{masquerade}),
			{loadAddress(Source, reg0), loadAddress(Destination, reg1), inSet(Hairpin), masquerade},
			join(matchNetwork(Source, t.cfg.Pods, false), matchNetwork(Destination, t.cfg.Pods, true),
				matchNetwork(Destination, multicast, true), []expr.Any{masquerade}),
		}, t.rulesForBehind()...)},
	}
}

// rulesForBehind masquerade what nodes behind this one send to the world.
func (t *Table) rulesForBehind() [][]expr.Any {
	if !t.cfg.Behind.IsValid() {
		return nil
	}
	return [][]expr.Any{join(matchNetwork(Source, t.cfg.Behind, false), matchNetwork(Destination, t.cfg.Behind, true),
		matchNetwork(Destination, t.cfg.Pods, true), []expr.Any{&expr.Masq{FullyRandom: true}})}
}
