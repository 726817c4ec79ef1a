package peers

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernelChange is a change of the machine's network that routes may depend on.
type kernelChange struct {
	// linkGone is the index of a link that went, and its routes with it; zero
	// where a way came or went.
	linkGone int
	// to is where that way leads.
	to netip.Prefix
}

// watchKernel tells of links that go and of ways that come and go, until ctx
// ends. Pods' own links and routes are among them: they are told apart by those
// who know which lead to nodes.
func watchKernel(ctx context.Context, logger *slog.Logger) (<-chan kernelChange, error) {
	links, routes := make(chan netlink.LinkUpdate, 64), make(chan netlink.RouteUpdate, 64)
	failed := func(err error) {
		if ctx.Err() == nil {
			logger.Warn("changes of links and routes may be noticed late", "error", err)
		}
	}
	if err := netlink.LinkSubscribeWithOptions(links, ctx.Done(), netlink.LinkSubscribeOptions{ErrorCallback: failed}); err != nil {
		return nil, fmt.Errorf("watch links: %w", err)
	}
	if err := netlink.RouteSubscribeWithOptions(routes, ctx.Done(), netlink.RouteSubscribeOptions{ErrorCallback: failed}); err != nil {
		return nil, fmt.Errorf("watch routes: %w", err)
	}
	out := make(chan kernelChange, 64)
	go forwardChanges(ctx, links, routes, out)
	return out, nil
}

func forwardChanges(ctx context.Context, links <-chan netlink.LinkUpdate, routes <-chan netlink.RouteUpdate, out chan<- kernelChange) {
	for {
		var c kernelChange
		select {
		case <-ctx.Done():
			return
		case l, open := <-links:
			if !open {
				links = nil
				continue
			}
			gone := l.Header.Type == unix.RTM_DELLINK || l.Flags&unix.IFF_UP == 0
			if !gone {
				continue
			}
			c.linkGone = int(l.Index)
		case r, open := <-routes:
			if !open {
				routes = nil
				continue
			}
			if r.Protocol == routeProtocol || r.Family != unix.AF_INET {
				continue
			}
			c.to = destination(r.Route)
		}
		select {
		case out <- c:
		case <-ctx.Done():
			return
		}
	}
}
