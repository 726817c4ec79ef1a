package rules

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
)

// Key names a pod or a policy.
type Key struct{ Namespace, Name string }

func (k Key) String() string { return k.Namespace + "/" + k.Name }

func compareKeys(a, b Key) int {
	if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// Pod is what policies see of a pod that has an address and has not ended, or
// of something that is presented as one.
type Pod struct {
	Key
	Labels  labels.Set
	Addr    netip.Addr
	Ports   []NamedPort
	Created time.Time
	// Local pods are those whose traffic this book's kernel judges.
	Local bool
}

func (p *Pod) equal(q *Pod) bool {
	return p.Key == q.Key && p.Addr == q.Addr && p.Local == q.Local && p.Created.Equal(q.Created) &&
		maps.Equal(p.Labels, q.Labels) && slices.Equal(p.Ports, q.Ports)
}

// pod is a pod of the book.
type pod struct {
	Pod
	policies map[*policy]struct{}
	// fresh pods came since the last Take, at an address that nobody else
	// had: they have no connections.
	fresh bool
}

// policy is a policy of the book. It is active, its groups and chains made,
// while it selects a local pod.
type policy struct {
	key      Key
	spec     *networkingv1.NetworkPolicySpec
	rules    *compiled
	selected map[*pod]struct{}
	active   bool
	chains   []string
	groups   []*group
}

type namespace struct {
	name     string
	known    bool
	labels   labels.Set
	pods     map[*pod]struct{}
	policies map[*policy]struct{}
	groups   map[*group]struct{} // that its pods can be in
}

// Book holds policies and what they are about, and what follows from it. It
// is not safe for concurrent use.
type Book struct {
	namespaces map[string]*namespace
	pods       map[Key]*pod
	// claims are the pods that say they have an address: where an old one was
	// not removed yet, the newest counts.
	claims   map[netip.Addr]map[*pod]struct{}
	policies map[Key]*policy
	groups   map[string]*group
	profiles map[string]*profile // by chain
	shelves  map[string]int      // by chain: how many profiles lead to it
	idle     map[*policy]struct{}
	out      output
}

// NewBook is an empty book.
func NewBook() *Book {
	return &Book{
		namespaces: map[string]*namespace{}, pods: map[Key]*pod{}, claims: map[netip.Addr]map[*pod]struct{}{},
		policies: map[Key]*policy{}, groups: map[string]*group{}, profiles: map[string]*profile{}, shelves: map[string]int{}, idle: map[*policy]struct{}{},
		out: newOutput(),
	}
}

// namespace is the entry of a namespace, known or not.
func (b *Book) namespace(name string) *namespace {
	ns := b.namespaces[name]
	if ns == nil {
		ns = &namespace{name: name, pods: map[*pod]struct{}{}, policies: map[*policy]struct{}{}, groups: map[*group]struct{}{}}
		b.namespaces[name] = ns
		for _, g := range b.groups {
			if g.reaches(ns) {
				ns.groups[g] = struct{}{}
			}
		}
	}
	return ns
}

// SetNamespace tells a namespace's labels; pods of a namespace that was never
// told are in no group of selected namespaces.
func (b *Book) SetNamespace(name string, l labels.Set) {
	ns := b.namespace(name)
	if ns.known && maps.Equal(ns.labels, l) {
		return
	}
	ns.known, ns.labels = true, l
	b.reach(ns)
}

// DropNamespace tells that a namespace is gone.
func (b *Book) DropNamespace(name string) {
	ns := b.namespaces[name]
	if ns == nil {
		return
	}
	ns.known, ns.labels = false, nil
	b.reach(ns)
	b.sweepNamespace(ns)
}

func (b *Book) sweepNamespace(ns *namespace) {
	if !ns.known && len(ns.pods)+len(ns.policies) == 0 {
		delete(b.namespaces, ns.name)
	}
}

// reach finds anew which groups the namespace's pods can be in.
func (b *Book) reach(ns *namespace) {
	for _, g := range b.groups {
		_, before := ns.groups[g]
		now := g.reaches(ns)
		if before == now {
			continue
		}
		for p := range ns.pods {
			if !b.owns(p) {
				continue
			}
			if now {
				g.add(g.of(p))
			} else {
				g.drop(g.of(p))
			}
		}
		b.out.groups[g] = struct{}{}
		if now {
			ns.groups[g] = struct{}{}
		} else {
			delete(ns.groups, g)
		}
	}
}

// SetPolicy tells a policy. An error names what cannot be understood of it;
// the policy stays as it was.
func (b *Book) SetPolicy(p *networkingv1.NetworkPolicy) error {
	key := Key{p.Namespace, p.Name}
	old := b.policies[key]
	if old != nil && equality.Semantic.DeepEqual(old.spec, &p.Spec) {
		return nil
	}
	rules, err := compile(p)
	if err != nil {
		return err
	}
	ns := b.namespace(p.Namespace)
	next := &policy{key: key, spec: &p.Spec, rules: rules, selected: map[*pod]struct{}{}}
	for pod := range ns.pods {
		if pod.Local && b.owns(pod) && rules.selector.Matches(pod.Labels) {
			next.selected[pod] = struct{}{}
		}
	}
	b.policies[key] = next
	ns.policies[next] = struct{}{}
	if len(next.selected) > 0 {
		b.activate(next)
	}
	if old != nil {
		b.retire(ns, old)
	}
	for pod := range next.selected {
		pod.policies[next] = struct{}{}
		b.assign(pod)
	}
	return nil
}

// DropPolicy tells that a policy is gone.
func (b *Book) DropPolicy(key Key) {
	old := b.policies[key]
	if old == nil {
		return
	}
	ns := b.namespace(key.Namespace)
	delete(b.policies, key)
	b.retire(ns, old)
	b.sweepNamespace(ns)
}

// retire takes a policy out that another one of its name may have replaced.
func (b *Book) retire(ns *namespace, old *policy) {
	delete(ns.policies, old)
	delete(b.idle, old)
	for pod := range old.selected {
		delete(pod.policies, old)
		if next := b.policies[old.key]; next == nil || !hasPod(next, pod) {
			b.assign(pod)
		}
	}
	b.deactivate(old)
}

func hasPod(p *policy, pod *pod) bool {
	_, ok := p.selected[pod]
	return ok
}

// activate makes the policy's groups and chains.
func (b *Book) activate(p *policy) {
	p.active = true
	for d, s := range p.rules.sides {
		if s == nil {
			continue
		}
		for i := range s.rules {
			for _, spec := range slices.Concat(s.rules[i].peers, s.rules[i].named) {
				p.groups = append(p.groups, b.acquire(spec))
			}
		}
		for name, chain := range chains(p.key, Direction(d), s) {
			p.chains = append(p.chains, name)
			b.out.setChain(name, chain)
		}
	}
}

func (b *Book) deactivate(p *policy) {
	if !p.active {
		return
	}
	p.active = false
	for _, g := range p.groups {
		b.release(g)
	}
	next := b.policies[p.key]
	for _, name := range p.chains {
		if next == nil || next == p || !slices.Contains(next.chains, name) {
			b.out.dropChain(name)
		}
	}
	p.groups, p.chains = nil, nil
}

// acquire finds a group or fills a new one.
func (b *Book) acquire(spec groupSpec) *group {
	key := spec.key()
	g := b.groups[key]
	if g == nil {
		g = newGroup(spec)
		b.groups[key] = g
		for _, ns := range b.namespaces {
			if !g.reaches(ns) {
				continue
			}
			ns.groups[g] = struct{}{}
			for p := range ns.pods {
				if b.owns(p) {
					g.add(g.of(p))
				}
			}
		}
		b.out.groups[g] = struct{}{}
	}
	g.refs++
	return g
}

func (b *Book) release(g *group) {
	if g.refs--; g.refs > 0 {
		return
	}
	delete(b.groups, g.key())
	for _, ns := range b.namespaces {
		delete(ns.groups, g)
	}
	b.out.groups[g] = struct{}{}
}

// assign finds a pod's profile in each direction.
func (b *Book) assign(p *pod) {
	for d := range 2 {
		var of []*policy
		for policy := range p.policies {
			if policy.rules.sides[d] != nil {
				of = append(of, policy)
			}
		}
		name := ""
		if len(of) > 0 {
			slices.SortFunc(of, func(x, y *policy) int { return compareKeys(x.key, y.key) })
			name = b.wantProfile(Direction(d), of)
		}
		b.subject(Direction(d), p, name)
	}
}

// subject gives an address a profile; none for the empty name.
func (b *Book) subject(d Direction, p *pod, name string) {
	before := b.out.subjects[d].want[p.Addr]
	if before == name {
		return
	}
	if name != "" {
		b.profiles[name].subjects++
	}
	b.out.subjects[d].set(p.Addr, name)
	if before != "" {
		b.releaseProfile(before)
	}
}
