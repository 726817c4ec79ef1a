// Package progress lets goroutines wait for a revision to be reached.
//
// A Gate holds one revision that only goes up. Its owner advances it; anybody
// may read it or wait for it. Advancing costs nothing where nobody waits.
package progress

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/knarr-io/knarr/internal/store"
)

// Gate is a revision that can be waited for. The zero Gate stands at zero.
// Safe for concurrent use.
type Gate struct {
	revision atomic.Uint64

	mu      sync.Mutex
	waiters []waiter // guarded by mu
	err     error    // guarded by mu: set by Close
}

type waiter struct {
	rev  store.Revision
	wake chan struct{}
}

// Revision is where the gate stands.
func (g *Gate) Revision() store.Revision { return store.Revision(g.revision.Load()) }

// Advance moves the gate up to rev and wakes who waited for it. A rev below
// the present one is ignored. Only one goroutine may call it at a time.
func (g *Gate) Advance(rev store.Revision) {
	if uint64(rev) <= g.revision.Load() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.revision.Store(uint64(rev))
	kept := g.waiters[:0]
	for _, w := range g.waiters {
		if w.rev <= rev {
			close(w.wake)
			continue
		}
		kept = append(kept, w)
	}
	clear(g.waiters[len(kept):])
	g.waiters = kept
}

// WaitFor blocks until the gate stands at rev or above. It fails with ctx's
// error, or with the error that the gate was closed with.
func (g *Gate) WaitFor(ctx context.Context, rev store.Revision) error {
	if g.Revision() >= rev {
		return nil
	}
	wake, err := g.enqueue(rev)
	if wake == nil {
		return err
	}
	select {
	case <-wake:
	case <-ctx.Done():
		g.forget(wake)
		return ctx.Err()
	}
	if g.Revision() >= rev {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *Gate) enqueue(rev store.Revision) (chan struct{}, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.Revision() >= rev {
		return nil, nil
	}
	if g.err != nil {
		return nil, g.err
	}
	wake := make(chan struct{})
	g.waiters = append(g.waiters, waiter{rev: rev, wake: wake})
	return wake, nil
}

func (g *Gate) forget(wake chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, w := range g.waiters {
		if w.wake == wake {
			g.waiters = append(g.waiters[:i], g.waiters[i+1:]...)
			return
		}
	}
}

// Close wakes everybody who waits; they and later ones get err, unless the
// gate had reached their revision.
func (g *Gate) Close(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return
	}
	g.err = err
	for _, w := range g.waiters {
		close(w.wake)
	}
	g.waiters = nil
}
