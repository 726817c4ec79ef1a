package machine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
)

// settleTime is how long links and routes may change before their outcome
// counts: a network that is switched takes several steps.
const settleTime = 2 * time.Second

// Follow calls changed with this machine's address, as find tells it, and again
// whenever it has become another one, until ctx ends. While find fails (there
// is no network) nothing is told: the last address stays.
func Follow(ctx context.Context, find func() (netip.Addr, error), changed func(netip.Addr)) error {
	var last netip.Addr
	for ctx.Err() == nil {
		err := follow(ctx, func() {
			if addr, err := find(); err == nil && addr != last {
				last = addr
				changed(addr)
			}
		})
		if err != nil && !errors.Is(err, errMissed) {
			return err
		}
	}
	return nil
}

// errMissed: the kernel told more than was read, and looking again makes up
// for it.
var errMissed = errors.New("news of addresses were lost")

// follow looks now, and some time after addresses or routes have changed.
func follow(ctx context.Context, look func()) error {
	done := make(chan struct{})
	addresses, routes := make(chan netlink.AddrUpdate, 64), make(chan netlink.RouteUpdate, 64)
	defer func() {
		close(done)
		go drain(addresses) // a reader that has something to tell sees the end only after it
		go drain(routes)
	}()
	if err := netlink.AddrSubscribe(addresses, done); err != nil {
		close(addresses)
		close(routes)
		return fmt.Errorf("follow the machine's addresses: %w", err)
	}
	if err := netlink.RouteSubscribe(routes, done); err != nil {
		close(routes)
		return fmt.Errorf("follow the machine's routes: %w", err)
	}
	look()
	settle := time.NewTimer(settleTime)
	settle.Stop()
	for waiting := false; ; {
		told := true
		select {
		case <-ctx.Done():
			return nil
		case _, told = <-addresses:
		case _, told = <-routes:
		case <-settle.C:
			waiting = false
			look()
			continue
		}
		if !told {
			return errMissed
		}
		if !waiting {
			waiting = true
			settle.Reset(settleTime)
		}
	}
}

func drain[T any](c <-chan T) {
	for range c {
	}
}
