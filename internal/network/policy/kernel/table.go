package kernel

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	nl "github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

// tableNames are the names that tables have in turn.
var tableNames = [2]string{"knarr-policy", "knarr-policy2"}

// Config says what the base rules are about.
type Config struct {
	// Pods is the pod network of the whole cluster.
	Pods netip.Prefix
	// PodLinks begins the names of the host's ends of pods' links, OtherLinks
	// those of links that begin so too and lead elsewhere. Empty: sources are
	// not held against links.
	PodLinks   string
	OtherLinks []string
	// EdgeUser is the user id that the edge runs under.
	EdgeUser uint32
	// NetNS is a file descriptor of the network namespace to work in; zero is
	// the caller's own.
	NetNS int
}

// Table is the installed table. It belongs to one goroutine. It does nothing
// before the first Rebuild.
type Table struct {
	cfg   Config
	conn  *nftables.Conn
	flows *nl.Handle

	// table is what stands, nil before there is one; kinds are its sets, self
	// counts the directions in which an address is a subject.
	table *nftables.Table
	kinds map[string]rules.SetKind
	self  map[netip.Addr]int
	edge  netip.Addr
	setID uint32 // the last given
}

// Open connects to the kernel.
func Open(cfg Config) (*Table, error) {
	opts := []nftables.ConnOption{nftables.AsLasting(), nftables.WithSockOptions(roomForBatches)}
	if cfg.NetNS != 0 {
		opts = append(opts, nftables.WithNetNSFd(cfg.NetNS))
	}
	conn, err := nftables.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("open netlink to nftables (is the kernel built with nf_tables, and are you root?): %w", err)
	}
	flows, err := openFlows(cfg.NetNS)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink to connection tracking: %w", err), conn.CloseLasting())
	}
	return &Table{cfg: cfg, conn: conn, flows: flows}, nil
}

func openFlows(fd int) (*nl.Handle, error) {
	if fd == 0 {
		return nl.NewHandle(unix.NETLINK_NETFILTER, unix.NETLINK_ROUTE)
	}
	return nl.NewHandleAt(netns.NsHandle(fd), unix.NETLINK_NETFILTER, unix.NETLINK_ROUTE)
}

// roomForBatches makes the socket take a whole batch, and the kernel's
// answers to it.
func roomForBatches(c *netlink.Conn) error {
	const room = 8 << 20
	return errors.Join(c.SetWriteBuffer(room), c.SetReadBuffer(room))
}

// Close lets go of the kernel; the rules stay.
func (t *Table) Close() error {
	t.flows.Close()
	return t.conn.CloseLasting()
}

// Remove deletes the tables. It is no error where there are none.
func Remove(netns int) error {
	conn, err := nftables.New(nftables.WithNetNSFd(netns))
	if err != nil {
		return fmt.Errorf("open netlink to nftables: %w", err)
	}
	for _, name := range tableNames {
		dropTable(conn, name)
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("delete the nftables tables of network policies: %w", err)
	}
	return nil
}

// dropTable queues the removal of a table; making it first lets that succeed
// where there is none.
func dropTable(conn *nftables.Conn, name string) {
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: name}
	conn.AddTable(table)
	conn.DelTable(table)
}

// Standing tells whether a table of an earlier process judges packets.
func (t *Table) Standing() (bool, error) {
	name, err := t.live()
	return name != "", err
}

// live is the name of the table whose hooks stand; empty for none.
func (t *Table) live() (string, error) {
	chains, err := t.conn.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return "", fmt.Errorf("list nftables chains: %w", err)
	}
	for _, chain := range chains {
		for _, name := range tableNames {
			if chain.Table.Name == name && chain.Hooknum != nil {
				return name, nil
			}
		}
	}
	return "", nil
}

// Rebuild makes everything anew, beside what stands, and lets it take over in
// one transaction. Edge is the address that this node's edge is known by; the
// zero value where it has none yet.
func (t *Table) Rebuild(whole rules.Change, edge netip.Addr) error {
	old, err := t.live()
	if err != nil {
		return err
	}
	name := tableNames[0]
	if old == name {
		name = tableNames[1]
	}
	dropTable(t.conn, name) // what a process left that was killed while it built
	t.table = t.conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: name})
	t.kinds, t.self, t.edge = map[string]rules.SetKind{}, map[netip.Addr]int{}, edge
	for _, set := range t.baseSets() {
		if err := t.addSet(set, nil); err != nil {
			return fmt.Errorf("nftables set %s: %w", set.Name, err)
		}
	}
	if err := t.Apply(whole); err != nil {
		return err
	}
	for _, base := range t.baseChains(edge) {
		accept := nftables.ChainPolicyAccept
		chain := t.conn.AddChain(&nftables.Chain{Table: t.table, Name: base.name, Type: base.kind, Hooknum: base.hook, Priority: &base.priority, Policy: &accept})
		for _, exprs := range base.rules {
			t.conn.AddRule(&nftables.Rule{Table: t.table, Chain: chain, Exprs: exprs})
		}
	}
	if old != "" {
		t.conn.DelTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: old})
	}
	if err := t.conn.Flush(); err != nil {
		return fmt.Errorf("let nftables table ip %s take over: %w", name, err)
	}
	return nil
}

// addSet queues a set with an id of this table's own: the library counts them
// for the whole process, where the Services' table is changed meanwhile.
func (t *Table) addSet(set *nftables.Set, elements []nftables.SetElement) error {
	t.setID++
	set.ID = t.setID
	return t.conn.AddSet(set, elements)
}

// Edge is the address that the standing table knows the edge by.
func (t *Table) Edge() netip.Addr { return t.edge }
