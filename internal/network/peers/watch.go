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
	// lost is what a route of ours led to that was removed: systemd-networkd
	// does so, when it starts anew, with all that it did not make.
	lost netip.Prefix
}

// watchKernel tells of links that go and of ways that come and go, until ctx
// ends or changes were lost, as when more came at a time than were read: then
// it closes the channel, and whoever watches again has to look at everything.
// Pods' own links and routes are among them: they are told apart by those who
// know which lead to nodes. It watches the network namespace of its caller's
// thread.
func watchKernel(ctx context.Context, logger *slog.Logger) (<-chan kernelChange, error) {
	ctx, cancel := context.WithCancel(ctx)
	links, routes := make(chan netlink.LinkUpdate, 64), make(chan netlink.RouteUpdate, 64)
	failed := func(err error) {
		if ctx.Err() == nil {
			logger.Warn("changes of links and routes may be noticed late", "error", err)
		}
	}
	if err := netlink.LinkSubscribeWithOptions(links, ctx.Done(), netlink.LinkSubscribeOptions{ErrorCallback: failed}); err != nil {
		cancel()
		return nil, fmt.Errorf("watch links: %w", err)
	}
	if err := netlink.RouteSubscribeWithOptions(routes, ctx.Done(), netlink.RouteSubscribeOptions{ErrorCallback: failed}); err != nil {
		cancel()
		go drain(links)
		return nil, fmt.Errorf("watch routes: %w", err)
	}
	out := make(chan kernelChange, 64)
	go func() {
		defer close(out)
		forwardChanges(ctx, links, routes, out)
		cancel()
		go drain(links) // a reader that has something to tell sees the end only after it
		go drain(routes)
	}()
	return out, nil
}

func drain[T any](c <-chan T) {
	for range c {
	}
}

// forwardChanges returns when ctx ends or one of the subscriptions has.
func forwardChanges(ctx context.Context, links <-chan netlink.LinkUpdate, routes <-chan netlink.RouteUpdate, out chan<- kernelChange) {
	for {
		var c kernelChange
		select {
		case <-ctx.Done():
			return
		case l, open := <-links:
			if !open {
				return
			}
			gone := l.Header.Type == unix.RTM_DELLINK || l.Flags&unix.IFF_UP == 0
			if !gone {
				continue
			}
			c.linkGone = int(l.Index)
		case r, open := <-routes:
			if !open {
				return
			}
			switch {
			case r.Family != unix.AF_INET:
				continue
			case r.Protocol != routeProtocol:
				c.to = destination(r.Route)
			case r.Type == unix.RTM_DELROUTE:
				c.lost = destination(r.Route)
			default:
				continue
			}
		}
		select {
		case out <- c:
		case <-ctx.Done():
			return
		}
	}
}
