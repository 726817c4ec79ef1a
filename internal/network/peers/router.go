package peers

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
)

// router carries changes of peers out. One goroutine uses it.
type router struct {
	mode    Mode
	address netip.Addr
	// own is this node's first pod range, once it has one.
	own    func() (netip.Prefix, bool)
	links  map[string]int // on which nodes are reached
	logger *slog.Logger
}

// change routes a node's ranges and takes away those that it no longer has.
func (r *router) change(name string, old, next Peer) error {
	var failed []error
	for _, pods := range old.Ranges {
		if !next.Complete() || !slices.Contains(next.Ranges, pods) {
			failed = append(failed, unroute(pods))
		}
	}
	if old.Complete() && old.Address != next.Address {
		failed = append(failed, leaveTunnel(old))
	}
	if next.Complete() {
		failed = append(failed, r.reach(name, next))
	}
	return errors.Join(failed...)
}

func (r *router) reach(name string, p Peer) error {
	if p.Address == r.address {
		return nil
	}
	link, shared, err := shares(p.Address)
	if err != nil {
		return err
	}
	switch choose(r.mode, shared) {
	case straight:
		r.links[name] = link
		return eachRange(p, func(pods netip.Prefix) error { return routeStraight(pods, p.Address, link) })
	case unreached:
		r.logger.Warn("a node shares no link with this one, and tunnels are off: others must route its pods", "address", p.Address)
		return nil
	}
	own, ok := r.own()
	if !ok {
		return nil // this node has no pods yet; its own change comes back here
	}
	through, err := tunnelTo(r.address, own)
	if err != nil {
		return err
	}
	r.links[name] = through.Attrs().Index
	return eachRange(p, func(pods netip.Prefix) error { return routeTunnel(through, pods, p.Address) })
}

func eachRange(p Peer, f func(netip.Prefix) error) error {
	var failed []error
	for _, r := range p.Ranges {
		failed = append(failed, f(r))
	}
	return errors.Join(failed...)
}
