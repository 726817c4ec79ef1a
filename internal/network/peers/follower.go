package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/client"
)

// Config says what a follower works with.
type Config struct {
	// Node is this node's name, Address its own. Behind is the node that other
	// machines reach it by; empty where they reach it themselves.
	Node    string
	Address netip.Addr
	Behind  string
	Mode    Mode
	// Informers read Nodes; they are started by their owner.
	Informers *client.Informers
	Logger    *slog.Logger
}

// Follower keeps the routes to other nodes' pods. It is made by New and run
// once.
type Follower struct {
	cfg   Config
	nodes *client.Informer[*corev1.Node]
	wake  chan struct{}
	router

	// told belongs to Run's goroutine: what the log says of peers that are not
	// applied.
	told map[string]string

	mu    sync.Mutex
	dirty map[string]struct{}
}

// New makes a follower and registers what it listens to; the informers must
// not have been started yet.
func New(cfg Config) *Follower {
	f := &Follower{cfg: cfg, nodes: client.InformerFor[*corev1.Node](cfg.Informers), wake: make(chan struct{}, 1),
		told: map[string]string{}, dirty: map[string]struct{}{},
		router: router{mode: cfg.Mode, node: cfg.Node, behind: cfg.Behind, address: cfg.Address, applied: map[string]Peer{}, ways: map[string]way{}, logger: cfg.Logger}}
	f.peer = f.read
	f.nodes.OnChange(func(old, new *corev1.Node) {
		if old != nil && new != nil && PeerOf(old).Equal(PeerOf(new)) {
			return // a heartbeat
		}
		name := ""
		if new != nil {
			name = new.Name
		} else {
			name = old.Name
		}
		f.mark(name)
	})
	return f
}

// read is a node as the cluster holds it now; incomplete if there is none.
func (f *Follower) read(name string) Peer {
	if n, ok := f.nodes.Get("", name); ok {
		return PeerOf(n)
	}
	return Peer{}
}

// Other is a node besides this one, and where its agent is reached.
type Other struct {
	Name  string
	Agent netip.AddrPort
	// Ready as the cluster holds it.
	Ready bool
}

// Others are the nodes besides this one that may send packets to its pods:
// all but simulated ones.
func (f *Follower) Others() []Other {
	var out []Other
	for _, n := range f.nodes.List("", nil) {
		p := PeerOf(n)
		if n.Name == f.cfg.Node || !p.Address.IsValid() {
			continue
		}
		o := Other{Name: n.Name, Agent: netip.AddrPortFrom(p.Address, uint16(n.Status.DaemonEndpoints.KubeletEndpoint.Port))}
		for _, c := range n.Status.Conditions {
			o.Ready = o.Ready || c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		}
		out = append(out, o)
	}
	return out
}

func (f *Follower) mark(names ...string) {
	f.mu.Lock()
	for _, name := range names {
		f.dirty[name] = struct{}{}
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *Follower) take() map[string]struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	dirty := f.dirty
	f.dirty = map[string]struct{}{}
	return dirty
}

// The pause after the kernel refused a route. A link that comes back is seen
// before.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// Run keeps routes until ctx ends; they stay when it returns.
func (f *Follower) Run(ctx context.Context) error {
	if err := f.nodes.WaitSynced(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("pod routes: %w", err)
	}
	changed, err := watchKernel(ctx, f.cfg.Logger)
	if err != nil {
		return fmt.Errorf("pod routes: %w", err)
	}
	if err := f.dropForeign(); err != nil {
		f.cfg.Logger.Warn("routes to pods of nodes that are gone may be left", "error", err)
	}
	retry := firstRetry
	for {
		var again <-chan time.Time
		failed := f.step()
		if len(failed) > 0 {
			again = time.After(retry)
			retry = min(2*retry, lastRetry)
		} else {
			retry = firstRetry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-f.wake:
			f.requeue(failed)
		case <-again:
			f.requeue(failed)
		case c, open := <-changed:
			f.requeue(failed)
			if open {
				f.requeue(f.touched(c))
				continue
			}
			if ctx.Err() != nil {
				return nil
			}
			if changed, err = watchKernel(ctx, f.cfg.Logger); err != nil {
				return fmt.Errorf("pod routes: %w", err)
			}
			f.requeue(f.everybody())
		}
	}
}

// everybody are the nodes that there are and those that are routed to.
func (f *Follower) everybody() []string {
	names := slices.Collect(maps.Keys(f.applied))
	for _, n := range f.nodes.List("", nil) {
		names = append(names, n.Name)
	}
	return names
}

// touched are the nodes whose routes went, with a link or by somebody's hand, and
// those that another way may lead to now.
func (f *Follower) touched(c kernelChange) []string {
	var names []string
	for name, w := range f.ways {
		if c.linkGone != 0 && w.link == c.linkGone || c.to.Contains(w.by) {
			names = append(names, name)
		}
	}
	for name, p := range f.applied {
		if slices.Contains(p.networks(), c.lost) {
			names = append(names, name)
		}
	}
	return names
}

func (f *Follower) requeue(names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range names {
		f.dirty[name] = struct{}{}
	}
}

// concerned are the changed nodes and those that are reached by them. When this
// node itself changes, or the one that it is behind, all others are concerned:
// the tunnel's own end is of its range.
func (f *Follower) concerned() map[string]struct{} {
	dirty := f.take()
	_, own := dirty[f.cfg.Node]
	_, first := dirty[f.cfg.Behind]
	if own || first {
		for _, n := range f.nodes.List("", nil) {
			dirty[n.Name] = struct{}{}
		}
	}
	for name, p := range f.applied {
		if _, moved := dirty[p.Behind]; moved {
			dirty[name] = struct{}{}
		}
	}
	delete(dirty, f.cfg.Node)
	return dirty
}

// step brings the routes of the nodes that are concerned up to date and returns
// those that could not be.
func (f *Follower) step() (failed []string) {
	for name := range f.concerned() {
		next := f.read(name)
		if err := f.change(name, f.applied[name], next); err != nil {
			if f.told[name] != err.Error() { // once, not with every try
				f.told[name] = err.Error()
				f.cfg.Logger.Warn("the pods of a node cannot be routed now", "node", name, "address", next.Address, "error", err)
			}
			failed = append(failed, name)
			continue
		}
		delete(f.told, name)
		if f.applied[name] = next; !next.Complete() {
			delete(f.applied, name)
			delete(f.ways, name)
		}
	}
	return failed
}

// dropForeign takes away routes to nodes that went while nobody looked.
func (f *Follower) dropForeign() error {
	ranges, err := standing()
	if err != nil {
		return err
	}
	wanted := map[netip.Prefix]bool{}
	for _, n := range f.nodes.List("", nil) {
		for _, r := range PeerOf(n).networks() {
			wanted[r] = n.Name != f.cfg.Node
		}
	}
	var failed []error
	for _, r := range ranges {
		if !wanted[r] {
			failed = append(failed, unroute(r))
		}
	}
	return errors.Join(failed...)
}
