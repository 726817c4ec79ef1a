package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/labels"
)

// NamedPort is a port of a pod that has a name.
type NamedPort struct {
	Name     string
	Protocol uint8
	Port     uint16
}

// groupSpec says which pods a group is of: those of one namespace, or of the
// selected ones, whose labels the selector takes; or all that have a port of
// a name.
type groupSpec struct {
	namespace  string
	namespaces labels.Selector
	pods       labels.Selector
	port       *NamedPort
}

// key is equal for specs that take the same pods for the same reason.
func (s *groupSpec) key() string {
	if s.port != nil {
		return fmt.Sprintf("port %d %s", s.port.Protocol, s.port.Name)
	}
	if s.namespaces == nil {
		return fmt.Sprintf("in %s: %s", s.namespace, s.pods)
	}
	return fmt.Sprintf("where %s: %s", s.namespaces, s.pods)
}

// Member is an element of a set: an address, in sets of ports with one of the
// ports that it has.
type Member struct {
	Addr     netip.Addr
	Protocol uint8
	Port     uint16
}

// group is a set of addresses that active policies refer to.
type group struct {
	groupSpec
	name    string // of the set
	refs    int
	members map[Member]struct{}
	// applied is what the kernel was told; dirty are members that may differ.
	applied map[Member]struct{}
	dirty   map[Member]struct{}
	known   bool // the kernel has the set
}

func newGroup(spec groupSpec) *group {
	prefix := "peers-"
	if spec.port != nil {
		prefix = "ports-"
	}
	return &group{groupSpec: spec, name: prefix + id(spec.key()), members: map[Member]struct{}{}, applied: map[Member]struct{}{}, dirty: map[Member]struct{}{}}
}

// id is a short name of something that is named by texts.
func id(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:10])
}

// of are the members that a pod, of a namespace that the group is about, has
// in the group.
func (g *group) of(p *pod) []Member {
	if g.port == nil {
		if g.pods.Matches(p.Labels) {
			return []Member{{Addr: p.Addr}}
		}
		return nil
	}
	var out []Member
	for _, port := range p.Ports {
		if port.Name == g.port.Name && port.Protocol == g.port.Protocol {
			out = append(out, Member{p.Addr, port.Protocol, port.Port})
		}
	}
	return out
}

// reaches tells whether pods of the namespace can be in the group.
func (g *group) reaches(ns *namespace) bool {
	switch {
	case g.port != nil:
		return true
	case g.namespaces == nil:
		return g.namespace == ns.name
	}
	// What is not known yet is not taken for a namespace without labels.
	return ns.known && g.namespaces.Matches(ns.labels)
}

func (g *group) add(members []Member) {
	for _, m := range members {
		g.members[m] = struct{}{}
		g.dirty[m] = struct{}{}
	}
}

func (g *group) drop(members []Member) {
	for _, m := range members {
		delete(g.members, m)
		g.dirty[m] = struct{}{}
	}
}
