package progress

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/knarr-io/knarr/internal/store"
)

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Gate
		reached := make([]bool, 6)
		for rev := range reached {
			go func() {
				if err := g.WaitFor(t.Context(), store.Revision(rev)); err != nil {
					t.Errorf("WaitFor(%d): %v", rev, err)
				}
				reached[rev] = true
			}()
		}
		for _, to := range []store.Revision{0, 2, 1, 3, 5} {
			g.Advance(to)
			synctest.Wait()
			for rev, ok := range reached {
				if want := store.Revision(rev) <= g.Revision(); ok != want {
					t.Errorf("at %d: waiter of %d woke: %v", g.Revision(), rev, ok)
				}
			}
		}
		if g.Revision() != 5 {
			t.Errorf("revision %d, want 5", g.Revision())
		}
	})
}

func TestGateGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Gate
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 2)
		go func() { errs <- g.WaitFor(ctx, 1) }()
		synctest.Wait()
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		if len(g.waiters) != 0 {
			t.Error("a waiter that left is still queued")
		}
		go func() { errs <- g.WaitFor(t.Context(), 1) }()
		synctest.Wait()
		g.Close(store.ErrClosed)
		if err := <-errs; !errors.Is(err, store.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		if err := g.WaitFor(t.Context(), 1); !errors.Is(err, store.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := g.WaitFor(t.Context(), 0); err != nil {
			t.Errorf("what was reached before Close: %v", err)
		}
	})
}

func TestGateUnderLoad(t *testing.T) {
	var g Gate
	var wg sync.WaitGroup
	for rev := range store.Revision(200) {
		wg.Go(func() {
			if err := g.WaitFor(t.Context(), rev); err != nil || g.Revision() < rev {
				t.Errorf("WaitFor(%d) at %d: %v", rev, g.Revision(), err)
			}
		})
	}
	for rev := range store.Revision(200) {
		g.Advance(rev)
	}
	wg.Wait()
}
