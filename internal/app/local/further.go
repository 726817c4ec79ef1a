package local

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/knarr-io/knarr/internal/app/netspace"
	"github.com/knarr-io/knarr/internal/base/remedy"
)

// Further is a node on this machine besides the first: an agent with runtime,
// edge and keep of its own, in a network namespace of its own.
type Further struct {
	Name string
	// Number is 2 or more; it gives the address, and names links and cgroup.
	Number int
	// Stopped by a person: up leaves it so.
	Stopped bool `json:",omitempty"`
}

// furtherPrefix begins the names of further nodes, before their number.
const furtherPrefix = "knarr-node"

// maxNodes bounds the nodes of one machine: every two of them share a link.
const maxNodes = 32

// meshAddress is the address of a node of this machine among the others.
func (s Settings) meshAddress(number int) netip.Addr {
	addr := s.NodeNetwork.Masked().Addr()
	for range number {
		addr = addr.Next()
	}
	return addr
}

// node are the settings of a further node. Everything of it lies below folders
// of its own, but for the programs.
func (s Settings) node(f Further) Settings {
	n := s
	n.BinDir = s.programs()
	n.DataDir = filepath.Join(s.DataDir, "nodes", f.Name)
	n.RunDir = filepath.Join(s.RunDir, "nodes", f.Name)
	n.LogDir = filepath.Join(n.DataDir, "pods")
	n.CgroupParent = s.CgroupParent + "-node" + strconv.Itoa(f.Number)
	n.Namespace = filepath.Join(n.RunDir, "net")
	n.NodeName, n.NodeAddress, n.AddressFixed, n.Behind = f.Name, s.meshAddress(f.Number), true, s.NodeName
	n.RuntimeEndpoint = ""                                                      // a runtime of another maker lives in the first node's network
	n.Further, n.Access, n.Simulate, n.SchedulerConfig = nil, Access{}, nil, "" // the server alone asks for these
	return n
}

// nodes are the settings of every node of this machine, the first one first.
func (s Settings) nodes() []Settings {
	all := []Settings{s}
	for _, f := range s.Further {
		all = append(all, s.node(f))
	}
	return all
}

// live are the nodes that nobody stopped, the first one first.
func (s Settings) live() []Settings {
	s.Further = slices.DeleteFunc(slices.Clone(s.Further), func(f Further) bool { return f.Stopped })
	return s.nodes()
}

// AdminSockets are those of the nodes of this machine, or of the named one.
func (s Settings) AdminSockets(node string) ([]string, error) {
	var all, names []string
	for _, n := range s.live() {
		if !n.ownRuntime() {
			if node == n.NodeName || node == "" {
				return nil, fmt.Errorf("the images of node %q are those of the runtime at %s: use its own tool, such as crictl or ctr", n.NodeName, n.RuntimeEndpoint)
			}
			continue
		}
		if node == n.NodeName {
			return []string{n.AdminSocket()}, nil
		}
		all, names = append(all, n.AdminSocket()), append(names, n.NodeName)
	}
	if node != "" {
		return nil, fmt.Errorf("no node %q runs on this machine; there are %s", node, strings.Join(names, ", "))
	}
	return all, nil
}

// inside runs f where the node's packets are.
func (s Settings) inside(f func() error) error { return netspace.Do(s.Namespace, f) }

// isAgent tells that the node's server runs elsewhere.
func (s Settings) isAgent() bool { return s.isFurther() || s.Server != "" }

// isFurther tells that the settings are those of a node besides the first.
func (s Settings) isFurther() bool { return s.Namespace != "" }

// member is the first node's place in the mesh.
func (s Settings) member() netspace.Member {
	return netspace.Member{Number: 1, Address: s.meshAddress(1), Source: s.NodeAddress}
}

// members are the nodes of this machine as ends of links; without those that
// are stopped, unless all are asked for.
func (s Settings) members(all bool) []netspace.Member {
	out := []netspace.Member{s.member()}
	for _, f := range s.Further {
		if n := s.node(f); all || !f.Stopped {
			out = append(out, netspace.Member{Number: f.Number, Path: n.Namespace, Address: n.NodeAddress, Source: n.NodeAddress})
		}
	}
	return out
}

// grow adds further nodes until there are as many as are wanted.
func (s *Settings) grow() error {
	have := 1 + len(s.Further)
	switch {
	case s.Count > maxNodes:
		return fmt.Errorf("--nodes %d: one machine takes %d at most", s.Count, maxNodes)
	case s.Count != 0 && s.Count < have:
		return remedy.For(fmt.Errorf("the cluster has %d nodes on this machine, --nodes %d are wanted", have, s.Count),
			"take one away with `knarr node rm %s`, or leave --nodes out", s.Further[len(s.Further)-1].Name)
	}
	for number := 2; 1+len(s.Further) < s.Count; number++ {
		taken := func(f Further) bool { return f.Number == number }
		if !slices.ContainsFunc(s.Further, taken) {
			s.Further = append(s.Further, Further{Name: furtherPrefix + strconv.Itoa(number), Number: number})
		}
	}
	return nil
}
