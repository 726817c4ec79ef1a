package proxy

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/network/ruleset"
)

// Table is where the proxy's rules are applied: package ruleset's, or a
// recorder in tests.
type Table interface {
	Current() (ruleset.Standing, error)
	Apply(ruleset.Change) error
}

// Config says what a proxy works with.
type Config struct {
	Node string
	// Informers read Services and endpoint slices, Pods the pods of the node;
	// the two may be of different identities.
	Informers, Pods *client.Informers
	Table           Table
	// Forget ends the tracked UDP flows that are gone (ForgetUDP); nil: nothing
	// is tracked.
	Forget func(gone func(Flow) bool) error
	Logger *slog.Logger
}

// Proxy keeps the table in step with the API. It is made by New and run once.
type Proxy struct {
	cfg      Config
	services *client.Informer[*corev1.Service]
	slices   *client.Informer[*discoveryv1.EndpointSlice]
	pods     *client.Informer[*corev1.Pod]
	node     *client.Informer[*corev1.Node]
	health   *healthPorts

	mu      sync.Mutex
	dirty   map[owner]struct{}
	wake    chan struct{}
	applied chan struct{} // closed and replaced when rules were applied
	ready   map[netip.Addr]int
	left    map[netip.Addr]time.Time // when, of those that were ready lately
	synced  bool
}

// sliceIndex finds the slices of a Service.
const sliceIndex = "service"

// New makes a proxy and registers what it listens to; the informers must not
// have been started yet.
func New(cfg Config) *Proxy {
	p := &Proxy{
		cfg:      cfg,
		services: client.InformerFor[*corev1.Service](cfg.Informers),
		slices:   client.InformerFor[*discoveryv1.EndpointSlice](cfg.Informers),
		pods:     client.InformerWith[*corev1.Pod](cfg.Pods, client.Selection{Fields: "spec.nodeName=" + cfg.Node}),
		node:     client.InformerWith[*corev1.Node](cfg.Pods, client.Selection{Fields: "metadata.name=" + cfg.Node}),
		health:   newHealthPorts(cfg.Logger),
		dirty:    map[owner]struct{}{},
		wake:     make(chan struct{}, 1),
		applied:  make(chan struct{}),
		ready:    map[netip.Addr]int{},
		left:     map[netip.Addr]time.Time{},
	}
	p.slices.AddIndex(sliceIndex, func(s *discoveryv1.EndpointSlice) []string {
		return []string{s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]}
	})
	p.services.OnChange(func(old, new *corev1.Service) {
		s := cmp.Or(new, old)
		p.mark(owner{namespace: s.Namespace, name: s.Name})
	})
	p.slices.OnChange(func(old, new *discoveryv1.EndpointSlice) {
		for _, s := range []*discoveryv1.EndpointSlice{old, new} {
			if s != nil {
				p.mark(owner{namespace: s.Namespace, name: s.Labels[discoveryv1.LabelServiceName]})
			}
		}
	})
	p.pods.OnChange(func(old, new *corev1.Pod) {
		if pod := cmp.Or(new, old); len(hostPorts(&pod.Spec)) > 0 {
			p.mark(owner{pod: true, namespace: pod.Namespace, name: pod.Name})
		}
	})
	p.node.OnChange(func(old, new *corev1.Node) {
		if zoneOf(old) != zoneOf(new) { // rare: a node hardly ever moves
			for _, s := range p.services.List("", nil) {
				p.mark(owner{namespace: s.Namespace, name: s.Name})
			}
		}
	})
	return p
}

func zoneOf(n *corev1.Node) string {
	if n == nil {
		return ""
	}
	return n.Labels[corev1.LabelTopologyZone]
}

// here is the place of this proxy's node.
func (p *Proxy) here() Place {
	n, _ := p.node.Get("", p.cfg.Node)
	return Place{Node: p.cfg.Node, Zone: zoneOf(n)}
}

func (p *Proxy) mark(o owner) {
	p.mu.Lock()
	p.dirty[o] = struct{}{}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// retryAfter is the pause after the kernel refused a change.
const retryAfter = time.Second

// Run applies changes until ctx ends. The rules stay when it returns.
func (p *Proxy) Run(ctx context.Context) error {
	for _, wait := range []func(context.Context) error{p.services.WaitSynced, p.slices.WaitSynced, p.pods.WaitSynced, p.node.WaitSynced} {
		if err := wait(ctx); err != nil {
			return fmt.Errorf("service proxy: %w", err)
		}
	}
	defer p.health.stop(context.WithoutCancel(ctx))
	b := newBook()
	whole := true
	for {
		if err := p.step(b, whole); err != nil {
			p.cfg.Logger.Error("service rules could not be applied; trying again from what the kernel holds", "error", err)
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
		case <-p.wake:
		}
	}
}

// step renders what is dirty and applies the difference; whole starts from
// what the kernel holds instead of from what was applied last. What the kernel
// refuses stays in the book, for the next step to apply.
func (p *Proxy) step(b *book, whole bool) error {
	p.mu.Lock()
	dirty := p.dirty
	p.dirty = map[owner]struct{}{}
	p.mu.Unlock()

	change, health := newChange(), make(map[owner]Health, len(dirty))
	for o := range dirty {
		next := p.render(o)
		health[o] = next.Health
		change = b.set(o, next, change)
	}
	p.health.set(health)
	b.note(change)
	if whole {
		standing, err := p.cfg.Table.Current()
		if err != nil {
			return err
		}
		want := b.state()
		change = ruleset.Diff(standing, want)
		b.judge(standing, want, change)
	}
	if !change.Empty() {
		if err := p.cfg.Table.Apply(change); err != nil {
			return err
		}
	}
	p.publish(b)
	p.forget(b)
	b.applied()
	return nil
}

func (p *Proxy) render(o owner) Rendered {
	if o.pod {
		if pod, ok := p.pods.Get(o.namespace, o.name); ok {
			return RenderHostPorts(pod)
		}
		return newRendered()
	}
	svc, ok := p.services.Get(o.namespace, o.name)
	if !ok {
		return newRendered()
	}
	return RenderService(svc, p.slices.ByIndex(sliceIndex, o.namespace+"/"+o.name), p.here())
}

// publish makes known which of the touched addresses new connections may go
// to now.
func (p *Proxy) publish(b *book) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for addr, when := range p.left {
		if now.Sub(when) > rememberLeft {
			delete(p.left, addr)
		}
	}
	for addr := range b.touched {
		if n := b.ready[addr]; n > 0 {
			p.ready[addr] = n
			continue
		}
		if p.ready[addr] > 0 {
			p.left[addr] = now
		}
		delete(p.ready, addr)
	}
	p.synced = true
	close(p.applied)
	p.applied = make(chan struct{})
}

// forget ends the UDP flows that would go on, as long as their client sends, to
// where they lead no more.
func (p *Proxy) forget(b *book) {
	if p.cfg.Forget == nil || !b.endsFlows() {
		return
	}
	if err := p.cfg.Forget(b.gone); err != nil {
		p.cfg.Logger.Warn("UDP flows to where no Service leads could not be ended", "error", err)
	}
}

// WaitSynced returns when the rules of everything that existed at the start
// were applied.
func (p *Proxy) WaitSynced(ctx context.Context) error {
	return p.wait(ctx, func() bool { return p.synced })
}

// WaitRemoved returns when no new connection is sent to the pod's address
// through any Service on this node.
func (p *Proxy) WaitRemoved(ctx context.Context, pod netip.Addr) error {
	return p.wait(ctx, func() bool { return p.ready[pod] == 0 })
}

// rememberLeft is how long it is known when an address left; more than any
// time that SettledAt is asked with.
const rememberLeft = 10 * time.Second

// SettledAt is when a pod's address will have been away from this node's rules
// for the time, in which other nodes do the same; the zero time where it was
// in none of late. The pod must have been removed (WaitRemoved).
func (p *Proxy) SettledAt(pod netip.Addr, within time.Duration) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if when, ok := p.left[pod]; ok {
		return when.Add(within)
	}
	return time.Time{}
}

func (p *Proxy) wait(ctx context.Context, doneLocked func() bool) error {
	for {
		p.mu.Lock()
		done, applied := doneLocked(), p.applied
		p.mu.Unlock()
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
