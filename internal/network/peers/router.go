package peers

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
)

// router carries changes of peers out. One goroutine uses it.
type router struct {
	mode    Mode
	node    string
	behind  string // the node that others reach this one by; empty for none
	address netip.Addr
	// peer reads another node, or this one; incomplete if there is none.
	peer    func(name string) Peer
	applied map[string]Peer // as they were carried out
	ways    map[string]way  // by which nodes are reached
	logger  *slog.Logger
}

// way is the link of a route to a node, zero where there is none, and the node
// that packets are handed to.
type way struct {
	link int
	by   netip.Addr
}

// change routes a node's ranges and takes away those that it no longer has. What
// another node has by now stays: a range is given again, and a machine may join
// anew by another name.
func (r *router) change(name string, old, next Peer) error {
	var failed []error
	for _, network := range old.networks() {
		kept := next.Complete() && slices.Contains(next.networks(), network)
		if !kept && !r.another(name, func(p Peer) bool { return slices.Contains(p.networks(), network) }) {
			failed = append(failed, unroute(network))
		}
	}
	if old.Complete() && old.Address != next.Address {
		failed = append(failed, r.leaveTunnel(name, old))
	}
	if next.Complete() {
		failed = append(failed, r.reach(name, next))
	}
	return errors.Join(failed...)
}

// another tells whether a node but the one of the name is so.
func (r *router) another(name string, so func(Peer) bool) bool {
	for other, p := range r.applied {
		if other != name && so(p) {
			return true
		}
	}
	return false
}

func (r *router) reach(name string, p Peer) error {
	if p.Address == r.address {
		return nil
	}
	networks, by := p.Ranges, p
	if first := hop(r.node, r.behind, name, p.Behind); first != name {
		networks, by = p.networks(), r.peer(first)
		if !by.Complete() {
			return fmt.Errorf("it is reached by node %q, which has no address or no pod range yet", first)
		}
	}
	link, shared, err := shares(by.Address)
	if err != nil {
		return err
	}
	r.ways[name] = way{link, by.Address}
	switch choose(r.mode, shared) {
	case straight:
		return each(networks, func(n netip.Prefix) error { return routeStraight(n, by.Address, link) })
	case unreached:
		r.logger.Warn("a node shares no link with this one, and tunnels are off: others must route its pods", "address", by.Address)
		return each(networks, unroute) // as it was reached before
	}
	own := r.peer(r.node)
	if !own.Complete() {
		return nil // this node has no pods yet; its own change comes back here
	}
	through, err := tunnelTo(r.address, own.Ranges[0])
	if err != nil {
		return err
	}
	r.ways[name] = way{through.Attrs().Index, by.Address}
	return each(networks, func(n netip.Prefix) error { return routeTunnel(through, n, by) })
}

func each(networks []netip.Prefix, f func(netip.Prefix) error) error {
	var failed []error
	for _, n := range networks {
		failed = append(failed, f(n))
	}
	return errors.Join(failed...)
}
