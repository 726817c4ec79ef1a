package podnet

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// mark begins the comment on rules that we put into another owner's chain.
const mark = "knarr: pods"

// opening is a chain of another owner of the machine's firewall that is asked
// before the owner drops what it does not know.
type opening struct {
	owner  string
	family nftables.TableFamily
	table  string
	chain  string
	// input: what pods send to the node itself (names, the API); else what
	// passes from and to them.
	input bool
}

// openings are those of the owners that are known: Docker's chain for rules of
// the user and ufw's first ones, as iptables writes them into nftables, and
// firewalld's own, where those of its zones would only see packets later. Those
// of ufw for rules of the user are no place: a reload flushes and removes them
// in many steps, takes what it could not remove, since a rule came in between,
// for a firewall that runs already, and fails.
func openings() []opening {
	return []opening{
		{"Docker", nftables.TableFamilyIPv4, "filter", "DOCKER-USER", false},
		{"ufw", nftables.TableFamilyIPv4, "filter", "ufw-before-forward", false},
		{"ufw", nftables.TableFamilyIPv4, "filter", "ufw-before-input", true},
		{"firewalld", nftables.TableFamilyINet, "firewalld", "filter_FORWARD", false},
		{"firewalld", nftables.TableFamilyINet, "firewalld", "filter_INPUT", true},
	}
}

// admit asks the other owners of the machine's firewall to let pods through,
// and says which chain drops where an owner is not known. What is there
// already stays, so that it may be called at any time.
func admit(c Config) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("pod network: open netlink to nftables: %w", err)
	}
	chains, err := conn.ListChains()
	if err != nil {
		return fmt.Errorf("pod network: list nftables chains: %w", err)
	}
	known := map[string]bool{}
	var failed []error
	for _, o := range openings() {
		chain := o.in(chains)
		if chain == nil {
			continue
		}
		known[chain.Table.Name] = true
		failed = append(failed, c.open(conn, o, chain))
	}
	for _, name := range droppingChains(chains, known) {
		c.Logger.Warn("another firewall drops forwarded traffic: pods may not reach each other or the outside",
			"chain", name, "remedy", "accept traffic from and to "+c.Pods.String()+" there")
	}
	return errors.Join(failed...)
}

// in finds the chain, nil where there is none.
func (o opening) in(chains []*nftables.Chain) *nftables.Chain {
	i := slices.IndexFunc(chains, func(c *nftables.Chain) bool {
		return c.Table.Family == o.family && c.Table.Name == o.table && c.Name == o.chain
	})
	if i < 0 {
		return nil
	}
	return chains[i]
}

// droppingChains are base chains at the forward hook whose policy is to drop,
// of tables that are not known.
func droppingChains(chains []*nftables.Chain, known map[string]bool) []string {
	var out []string
	for _, chain := range chains {
		forward := chain.Hooknum != nil && *chain.Hooknum == *nftables.ChainHookForward
		if forward && chain.Policy != nil && *chain.Policy == nftables.ChainPolicyDrop && !known[chain.Table.Name] {
			out = append(out, chain.Table.Name+" "+chain.Name)
		}
	}
	return out
}

// open brings our rules in an owner's chain up to date.
func (c Config) open(conn *nftables.Conn, o opening, chain *nftables.Chain) error {
	wanted := c.rulesFor(o, chain)
	present, err := ourRules(conn, chain)
	if err != nil {
		return err
	}
	same := func(a, b *nftables.Rule) bool { return bytes.Equal(a.UserData, b.UserData) }
	if len(present) == len(wanted) && !slices.ContainsFunc(wanted, func(w *nftables.Rule) bool {
		return !slices.ContainsFunc(present, func(p *nftables.Rule) bool { return same(w, p) })
	}) {
		return nil
	}
	for _, old := range present { // of other networks
		if err := conn.DelRule(old); err != nil {
			return fmt.Errorf("pod network: renew our rules in chain %s: %w", chain.Name, err)
		}
	}
	for _, rule := range wanted {
		conn.InsertRule(rule)
	}
	err = conn.Flush()
	switch {
	case errors.Is(err, unix.EPERM) && o.owner == "firewalld": // NftablesTableOwner=yes
		c.Logger.Warn("firewalld lets nobody else into its table: pods may not reach each other or the outside", "chain", chain.Name,
			"remedy", "firewall-cmd --permanent --zone=trusted --add-source="+c.Pods.String()+" && firewall-cmd --reload")
		return nil
	case errors.Is(err, fs.ErrNotExist): // it went meanwhile
		return nil
	case err != nil:
		return fmt.Errorf("pod network: accept pods in chain %s of %s: %w", chain.Name, o.owner, err)
	}
	c.Logger.Info("another firewall lets pods through by our rules in it", "owner", o.owner, "chain", chain.Name)
	return nil
}

// Where source and destination are in an IPv4 header, in bytes.
const (
	sourceOffset      = 12
	destinationOffset = 16
)

// rulesFor are ours for a chain: they accept what comes from our networks and,
// of what passes, what goes there.
func (c Config) rulesFor(o opening, chain *nftables.Chain) []*nftables.Rule {
	var out []*nftables.Rule
	for _, network := range append([]netip.Prefix{c.Pods}, c.Forwarded...) {
		out = append(out, acceptRule(chain, network, sourceOffset, "from"))
		if !o.input {
			out = append(out, acceptRule(chain, network, destinationOffset, "to"))
		}
	}
	return out
}

// acceptRule accepts packets whose address at the offset lies in the network.
func acceptRule(chain *nftables.Chain, network netip.Prefix, offset uint32, direction string) *nftables.Rule {
	first := network.Masked().Addr().As4()
	var exprs []expr.Any
	if chain.Table.Family == nftables.TableFamilyINet {
		exprs = append(exprs, &expr.Meta{Key: expr.MetaKeyNFPROTO, Register: unix.NFT_REG_1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{unix.NFPROTO_IPV4}})
	}
	return &nftables.Rule{
		Table: chain.Table, Chain: chain,
		UserData: userdata.AppendString(nil, userdata.TypeComment, mark+" "+direction+" "+network.String()),
		Exprs: append(exprs,
			&expr.Payload{DestRegister: unix.NFT_REG_1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
			&expr.Bitwise{SourceRegister: unix.NFT_REG_1, DestRegister: unix.NFT_REG_1, Len: 4, Mask: prefix(network).Mask, Xor: make([]byte, 4)},
			&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: first[:]},
			&expr.Counter{},
			&expr.Verdict{Kind: expr.VerdictAccept}),
	}
}

func ourRules(conn *nftables.Conn, chain *nftables.Chain) ([]*nftables.Rule, error) {
	rules, err := conn.GetRules(chain.Table, chain)
	if errors.Is(err, fs.ErrNotExist) { // it went meanwhile
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("pod network: read chain %s: %w", chain.Name, err)
	}
	return slices.DeleteFunc(rules, func(r *nftables.Rule) bool { return !bytes.Contains(r.UserData, []byte(mark)) }), nil
}

// dismiss takes our rules out of other owners' chains again.
func dismiss(Config) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open netlink to nftables: %w", err)
	}
	chains, err := conn.ListChains()
	if err != nil {
		return fmt.Errorf("list nftables chains: %w", err)
	}
	var failed []error
	for _, o := range openings() {
		if chain := o.in(chains); chain != nil {
			failed = append(failed, dismissFrom(conn, chain))
		}
	}
	return errors.Join(failed...)
}

func dismissFrom(conn *nftables.Conn, chain *nftables.Chain) error {
	rules, err := ourRules(conn, chain)
	if err != nil || len(rules) == 0 {
		return err
	}
	for _, rule := range rules {
		if err := conn.DelRule(rule); err != nil {
			return fmt.Errorf("remove our rule from chain %s: %w", chain.Name, err)
		}
	}
	if err := conn.Flush(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove our rules from chain %s: %w", chain.Name, err)
	}
	return nil
}
