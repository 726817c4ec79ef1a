package policy

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

// Kernel is where rules are applied: package kernel's Table, or a recorder in
// tests. One goroutine uses it.
type Kernel interface {
	Standing() (bool, error)
	Rebuild(whole rules.Change, edge netip.Addr) error
	Apply(rules.Change) error
	EndFlows(allowed func(rules.Flow) bool) (uint, error)
}

// Config says what an agent works with.
type Config struct {
	Node string
	// DNS is the address of the cluster DNS.
	DNS netip.Addr
	// Client and Informers read policies, and Informers namespaces, pods and
	// nodes too; Local the pods of the node. The informers are started by
	// their owner.
	Client    *client.Client
	Informers *client.Informers
	Local     *client.Informers
	Kernel    Kernel
	Logger    *slog.Logger
}

// Agent keeps the kernel's rules in step with the API. It is made by New and
// run once.
type Agent struct {
	cfg      Config
	policies *client.Informer[*networkingv1.NetworkPolicy]
	wake     chan struct{}

	// These belong to Run's goroutine; those of sources are nil until there is
	// something to enforce.
	book *rules.Book
	edge netip.Addr
	sources

	mu sync.Mutex
	// following says that changes are kept in dirty.
	following bool
	dirty     map[item]struct{}
	admitted  map[rules.Key]admission
	done      progress
	applied   chan struct{} // closed and replaced when something was applied
}

// sources are what only policies make interesting.
type sources struct {
	namespaces *client.Informer[*corev1.Namespace]
	pods       *client.Informer[*corev1.Pod]
	nodes      *client.Informer[*corev1.Node]
}

// progress is what the kernel knows: revisions of policies and the addresses
// of this node's pods.
type progress struct {
	synced   bool
	policies map[rules.Key]uint64
	pods     map[rules.Key]netip.Addr
}

// item is what a change is of.
type item struct {
	kind kind
	key  rules.Key
}

type kind int

const (
	aPolicy kind = iota
	aNamespace
	aPod
	aNode
)

// New makes an agent and registers what it listens to.
func New(cfg Config) *Agent {
	a := &Agent{cfg: cfg, policies: client.InformerFor[*networkingv1.NetworkPolicy](cfg.Informers), wake: make(chan struct{}, 1),
		book: rules.NewBook(), dirty: map[item]struct{}{}, admitted: map[rules.Key]admission{}, applied: make(chan struct{}),
		done: progress{policies: map[rules.Key]uint64{}, pods: map[rules.Key]netip.Addr{}}}
	a.policies.OnChange(func(old, new *networkingv1.NetworkPolicy) {
		p := cmp.Or(new, old)
		a.mark(item{aPolicy, rules.Key{Namespace: p.Namespace, Name: p.Name}})
	})
	own := client.InformerWith[*corev1.Pod](cfg.Local, client.Selection{Fields: "spec.nodeName=" + cfg.Node})
	own.OnChange(func(old, new *corev1.Pod) {
		if new == nil {
			a.forget(old)
		}
	})
	return a
}

// mark notes a change. Before there is something to enforce it only wakes:
// follow looks at everything.
func (a *Agent) mark(i item) {
	a.mu.Lock()
	if a.following {
		a.dirty[i] = struct{}{}
	}
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// retryAfter is the pause after the kernel refused a change.
const retryAfter = time.Second

// Run applies changes until ctx ends. The rules stay when it returns.
func (a *Agent) Run(ctx context.Context) error {
	if err := a.begin(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("network policies: %w", err)
	}
	whole := true
	for {
		if err := a.step(whole); err != nil {
			a.cfg.Logger.Error("network policies could not be applied; making them anew", "error", err)
			whole = true
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(retryAfter):
			}
			continue
		}
		whole = false
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		}
	}
}

// begin returns when there is something to enforce and what it depends on is
// known. A table of an earlier process is something: it may hold what is gone.
func (a *Agent) begin(ctx context.Context) error {
	if err := a.policies.WaitSynced(ctx); err != nil {
		return err
	}
	standing, err := a.cfg.Kernel.Standing()
	if err != nil {
		return err
	}
	for !standing && a.policies.Len() == 0 {
		a.publish(nil) // each time: policies may have come and gone that somebody waits for
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.wake:
		}
	}
	return a.follow(ctx)
}

// follow starts to watch what policies are about.
func (a *Agent) follow(ctx context.Context) error {
	a.mu.Lock()
	a.following = true
	for key := range a.admitted {
		a.dirty[item{aPod, key}] = struct{}{}
	}
	a.mu.Unlock()
	for _, p := range a.policies.List("", nil) {
		a.mark(item{aPolicy, rules.Key{Namespace: p.Namespace, Name: p.Name}})
	}
	a.namespaces = client.InformerFor[*corev1.Namespace](a.cfg.Informers)
	a.pods = client.InformerFor[*corev1.Pod](a.cfg.Informers)
	a.nodes = client.InformerFor[*corev1.Node](a.cfg.Informers)
	a.namespaces.OnChange(func(old, new *corev1.Namespace) { a.mark(item{aNamespace, rules.Key{Name: cmp.Or(new, old).Name}}) })
	a.nodes.OnChange(func(old, new *corev1.Node) { a.mark(item{aNode, rules.Key{Name: cmp.Or(new, old).Name}}) })
	a.pods.OnChange(func(old, new *corev1.Pod) {
		if old != nil && new != nil && sameToPolicies(old, new) {
			return
		}
		p := cmp.Or(new, old)
		a.mark(item{aPod, rules.Key{Namespace: p.Namespace, Name: p.Name}})
	})
	a.book.SetPod(DNSPod(a.cfg.DNS))
	for _, wait := range []func(context.Context) error{a.namespaces.WaitSynced, a.pods.WaitSynced, a.nodes.WaitSynced} {
		if err := wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// step takes in what is dirty and applies the difference; whole makes a new
// table.
func (a *Agent) step(whole bool) error {
	a.mu.Lock()
	dirty := a.dirty
	a.dirty = map[item]struct{}{}
	a.mu.Unlock()

	edge := a.edge
	applied := make([]func(*progress), 0, len(dirty))
	for i := range dirty {
		applied = append(applied, a.take(i))
	}
	change := a.book.Take()
	switch {
	case whole || edge != a.edge:
		change = a.book.Whole()
		if err := a.cfg.Kernel.Rebuild(change, a.edge); err != nil {
			a.again(dirty)
			return err
		}
	case !change.Empty():
		if err := a.cfg.Kernel.Apply(change); err != nil {
			a.again(dirty)
			return err
		}
	}
	a.publish(applied)
	if !change.Tightened {
		return nil
	}
	ended, err := a.cfg.Kernel.EndFlows(a.book.Allowed)
	if ended > 0 {
		a.cfg.Logger.Info("connections were ended that no network policy allows any more", "connections", ended)
	}
	return err
}

// again keeps what could not be applied: those who wait for it are told after
// the next try.
func (a *Agent) again(dirty map[item]struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range dirty {
		a.dirty[i] = struct{}{}
	}
}

// take tells the book of what something is now, and returns what is known
// once that was applied.
func (a *Agent) take(i item) func(*progress) {
	switch i.kind {
	case aPolicy:
		return a.takePolicy(i.key)
	case aNamespace:
		if ns, ok := a.namespaces.Get("", i.key.Name); ok {
			a.book.SetNamespace(ns.Name, ns.Labels)
		} else {
			a.book.DropNamespace(i.key.Name)
		}
	case aPod:
		return a.takePod(i.key)
	case aNode:
		a.takeNode(i.key.Name)
	}
	return func(*progress) {}
}

func (a *Agent) takePolicy(key rules.Key) func(*progress) {
	p, ok := a.policies.Get(key.Namespace, key.Name)
	if !ok {
		a.book.DropPolicy(key)
		return func(done *progress) { delete(done.policies, key) }
	}
	if err := a.book.SetPolicy(p); err != nil {
		a.cfg.Logger.Error("a network policy cannot be understood and stays as it was", "policy", key.String(), "error", err)
	}
	return func(done *progress) { done.policies[key] = client.Revision(p) }
}

func (a *Agent) takePod(key rules.Key) func(*progress) {
	p, address := a.lookUp(key)
	seen, ok := rules.Pod{}, false
	if p != nil {
		seen, ok = PodOf(p, address, a.cfg.Node)
	}
	if !ok {
		a.book.DropPod(key)
		return func(done *progress) { delete(done.pods, key) }
	}
	a.book.SetPod(seen)
	if !seen.Local {
		return func(*progress) {}
	}
	return func(done *progress) { done.pods[key] = seen.Addr }
}

func (a *Agent) takeNode(name string) {
	var address netip.Addr
	if n, ok := a.nodes.Get("", name); ok {
		address, _ = EdgeAddress(n)
	}
	if address.IsValid() {
		a.book.SetPod(EdgePod(name, address))
	} else {
		a.book.DropPod(EdgeKey(name))
	}
	if name == a.cfg.Node {
		a.edge = address
	}
}

func (a *Agent) publish(applied []func(*progress)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, note := range applied {
		note(&a.done)
	}
	a.done.synced = true
	close(a.applied)
	a.applied = make(chan struct{})
}

// WaitSynced returns when everything that existed at the start is enforced.
func (a *Agent) WaitSynced(ctx context.Context) error {
	return a.wait(ctx, func() bool { return a.done.synced })
}

func (a *Agent) wait(ctx context.Context, doneLocked func() bool) error {
	for {
		a.mu.Lock()
		done, applied := doneLocked(), a.applied
		a.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-applied:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
