package podnet

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// mark is the comment on rules that we put into another owner's chain.
const mark = "knarr: pods"

// Docker drops forwarded traffic that it does not know and offers the chain
// DOCKER-USER to be asked first.
const dockerChain = "DOCKER-USER"

// admit asks the other owners of the machine's firewall to let pods through,
// by the rule that each of them offers, and says which chain drops where one
// offers none.
func admit(c Config) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("pod network: open netlink to nftables: %w", err)
	}
	docker, err := chainOf(conn, dockerChain)
	if err != nil {
		return err
	}
	if docker != nil {
		return admitByDocker(conn, c, docker)
	}
	for _, name := range droppingChains(conn) {
		c.Logger.Warn("another firewall drops forwarded traffic: pods may not reach each other or the outside",
			"chain", name, "remedy", "accept traffic from and to "+c.Pods.String()+" there")
	}
	return nil
}

// chainOf finds a chain of the IPv4 filter table, nil where there is none.
func chainOf(conn *nftables.Conn, name string) (*nftables.Chain, error) {
	chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return nil, fmt.Errorf("pod network: list nftables chains: %w", err)
	}
	for _, chain := range chains {
		if chain.Table.Name == "filter" && chain.Name == name {
			return chain, nil
		}
	}
	return nil, nil
}

// droppingChains are base chains at the forward hook, of other owners, whose
// policy is to drop.
func droppingChains(conn *nftables.Conn) []string {
	chains, err := conn.ListChains()
	if err != nil {
		return nil
	}
	var out []string
	for _, chain := range chains {
		forward := chain.Hooknum != nil && *chain.Hooknum == *nftables.ChainHookForward
		if forward && chain.Policy != nil && *chain.Policy == nftables.ChainPolicyDrop {
			out = append(out, chain.Table.Name+" "+chain.Name)
		}
	}
	return out
}

func admitByDocker(conn *nftables.Conn, c Config, chain *nftables.Chain) error {
	networks := append([]netip.Prefix{c.Pods}, c.Forwarded...)
	present, err := ourRules(conn, chain)
	if err != nil || len(present) == 2*len(networks) {
		return err
	}
	for _, old := range present { // of other networks
		if err := conn.DelRule(old); err != nil {
			return fmt.Errorf("pod network: renew our rules in chain %s: %w", chain.Name, err)
		}
	}
	for _, network := range networks {
		for _, offset := range []uint32{12, 16} { // source, destination
			conn.InsertRule(acceptRule(chain, network, offset))
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("pod network: accept pods in Docker's chain %s: %w", dockerChain, err)
	}
	return nil
}

// acceptRule accepts packets whose address at the offset lies in the network.
func acceptRule(chain *nftables.Chain, network netip.Prefix, offset uint32) *nftables.Rule {
	first := network.Masked().Addr().As4()
	return &nftables.Rule{
		Table: chain.Table, Chain: chain,
		UserData: userdata.AppendString(nil, userdata.TypeComment, mark),
		Exprs: []expr.Any{
			&expr.Payload{DestRegister: unix.NFT_REG_1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
			&expr.Bitwise{SourceRegister: unix.NFT_REG_1, DestRegister: unix.NFT_REG_1, Len: 4, Mask: prefix(network).Mask, Xor: make([]byte, 4)},
			&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: first[:]},
			&expr.Counter{},
			&expr.Verdict{Kind: expr.VerdictAccept},
		},
	}
}

func ourRules(conn *nftables.Conn, chain *nftables.Chain) ([]*nftables.Rule, error) {
	rules, err := conn.GetRules(chain.Table, chain)
	if err != nil {
		return nil, fmt.Errorf("pod network: read chain %s: %w", chain.Name, err)
	}
	var ours []*nftables.Rule
	for _, rule := range rules {
		if bytes.Contains(rule.UserData, []byte(mark)) {
			ours = append(ours, rule)
		}
	}
	return ours, nil
}

// dismiss takes our rules out of other owners' chains again.
func dismiss(Config) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open netlink to nftables: %w", err)
	}
	chain, err := chainOf(conn, dockerChain)
	if err != nil || chain == nil {
		return err
	}
	rules, err := ourRules(conn, chain)
	if err != nil {
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
