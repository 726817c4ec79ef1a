package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/client"
)

// Config says what a follower works with.
type Config struct {
	// Node is this node's name, Address its own.
	Node    string
	Address netip.Addr
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

	mu    sync.Mutex
	dirty map[string]struct{}
}

// New makes a follower and registers what it listens to; the informers must
// not have been started yet.
func New(cfg Config) *Follower {
	f := &Follower{cfg: cfg, nodes: client.InformerFor[*corev1.Node](cfg.Informers), wake: make(chan struct{}, 1), dirty: map[string]struct{}{}}
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

// retryAfter is the pause after the kernel refused a route, as while a link is
// down.
const retryAfter = time.Second

// Run keeps routes until ctx ends; they stay when it returns.
func (f *Follower) Run(ctx context.Context) error {
	if err := f.nodes.WaitSynced(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("pod routes: %w", err)
	}
	applied := map[string]Peer{}
	if err := f.dropForeign(); err != nil {
		f.cfg.Logger.Warn("routes to pods of nodes that are gone may be left", "error", err)
	}
	for {
		var again <-chan time.Time
		if failed := f.step(applied); len(failed) > 0 {
			f.requeue(failed)
			again = time.After(retryAfter)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-f.wakeUnless(again):
		case <-again:
		}
	}
}

// wakeUnless is the channel of changes; while something is to be tried again,
// the pause comes first.
func (f *Follower) wakeUnless(again <-chan time.Time) <-chan struct{} {
	if again != nil {
		return nil
	}
	return f.wake
}

func (f *Follower) requeue(names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range names {
		f.dirty[name] = struct{}{}
	}
}

// step brings the routes of changed nodes up to date and returns those that
// could not be. When this node itself changes, all others are looked at: the
// tunnel's own end is of its range.
func (f *Follower) step(applied map[string]Peer) (failed []string) {
	dirty := f.take()
	if _, own := dirty[f.cfg.Node]; own {
		delete(dirty, f.cfg.Node)
		for _, n := range f.nodes.List("", nil) {
			dirty[n.Name] = struct{}{}
		}
		delete(dirty, f.cfg.Node)
	}
	for name := range dirty {
		next := Peer{}
		if n, ok := f.nodes.Get("", name); ok {
			next = PeerOf(n)
		}
		if err := f.change(applied[name], next); err != nil {
			f.cfg.Logger.Warn("the pods of a node cannot be routed; trying again", "node", name, "address", next.Address, "error", err)
			failed = append(failed, name)
			continue
		}
		if applied[name] = next; !next.Complete() {
			delete(applied, name)
		}
	}
	return failed
}

// change routes a node's ranges and takes away those that it no longer has.
func (f *Follower) change(old, next Peer) error {
	var failed []error
	for _, r := range old.Ranges {
		if !next.Complete() || !slices.Contains(next.Ranges, r) {
			failed = append(failed, unroute(r))
		}
	}
	if old.Complete() && old.Address != next.Address {
		failed = append(failed, leaveTunnel(old))
	}
	if next.Complete() {
		failed = append(failed, f.reach(next))
	}
	return errors.Join(failed...)
}

func (f *Follower) reach(p Peer) error {
	if p.Address == f.cfg.Address {
		return nil
	}
	link, shared, err := shares(p.Address)
	if err != nil {
		return err
	}
	switch choose(f.cfg.Mode, shared) {
	case straight:
		return eachRange(p, func(r netip.Prefix) error { return routeStraight(r, p.Address, link) })
	case unreached:
		f.cfg.Logger.Warn("a node shares no link with this one, and tunnels are off: others must route its pods", "address", p.Address)
		return nil
	}
	own, ok := f.nodes.Get("", f.cfg.Node)
	if !ok || len(PeerOf(own).Ranges) == 0 {
		return nil // this node has no pods yet; its own change comes back here
	}
	through, err := tunnelTo(f.cfg.Address, PeerOf(own).Ranges[0])
	if err != nil {
		return err
	}
	return eachRange(p, func(r netip.Prefix) error { return routeTunnel(through, r, p.Address) })
}

func eachRange(p Peer, f func(netip.Prefix) error) error {
	var failed []error
	for _, r := range p.Ranges {
		failed = append(failed, f(r))
	}
	return errors.Join(failed...)
}

// dropForeign takes away routes to nodes that went while nobody looked.
func (f *Follower) dropForeign() error {
	ranges, err := standing()
	if err != nil {
		return err
	}
	wanted := map[netip.Prefix]bool{}
	for _, n := range f.nodes.List("", nil) {
		for _, r := range PeerOf(n).Ranges {
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
