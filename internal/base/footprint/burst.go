package footprint

import (
	"context"
	"runtime"
	"time"
)

// FollowBursts fits the heap to the work, until ctx is done. While a burst lasts
// the heap may grow further between two collections than Go lets it (pacer);
// afterwards it gives back what the burst left behind. Go's own scavenger keeps
// what the last collection aimed at, which a process that has become quiet does
// not reach again for minutes. A burst begins with a collection and lasts as
// long as the next comes within quiet, or much is allocated in that time; a
// process that does nothing at all pays nothing.
//
// Before heap is given back, letGo drops what was kept in case that it is
// wanted. The pages of the program that the burst used go with it.
func FollowBursts(ctx context.Context, quiet time.Duration, letGo func()) {
	p := newPacer()
	h := heap{allocated: allocated, worth: worthwhile, pace: p.pace, rest: rest, collected: make(chan struct{}, 1), release: func() {
		letGo()
		_ = Release() // it worked at the start
	}}
	h.follow(ctx, quiet)
}

// rest is how long nothing is given back after something was: a process that
// is collected every few seconds would use again what it gave.
const rest = 10 * time.Second

const (
	// leastExcess is what is worth a collection, in bytes: more than a small
	// heap at rest grows between two collections, less than starting some
	// dozens of pods leaves behind.
	leastExcess = 24 << 20
	// muchMade is what a quiet process allocates less than, in bytes.
	muchMade = 48 << 20
)

// allocated is how many bytes the process has allocated since it began.
func allocated() uint64 { return read("/gc/heap/allocs:bytes") }

// worthwhile tells whether much more of the heap is held than may be in use
// after a burst that made so many bytes.
func worthwhile(made uint64) bool {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	held := m.HeapSys - m.HeapReleased
	// The goal of the next collection is what the last found in use and its growth.
	used := m.NextGC / 2
	if made > used {
		used = 0 // that was in the middle of the burst: all of it may be garbage by now
	}
	return held > used+leastExcess
}

// heap follows the collections of the process's heap.
type heap struct {
	allocated func() uint64
	worth     func(made uint64) bool // after a burst that made so many bytes
	release   func()
	pace      func(busy bool)
	rest      time.Duration // after a release
	collected chan struct{} // has one element after a collection
}

// sentinel dies with the next collection. It is larger than what the allocator
// puts together with others.
type sentinel struct{ _ [64]byte }

// arm lets the next collection be told.
func (h *heap) arm() {
	runtime.AddCleanup(new(sentinel), func(collected chan<- struct{}) {
		select {
		case collected <- struct{}{}:
		default:
		}
	}, h.collected)
}

func (h *heap) follow(ctx context.Context, quiet time.Duration) {
	for h.next(ctx) {
		before := h.allocated()
		for h.busy(ctx, quiet) {
			h.pace(true)
		}
		h.pace(false)
		if ctx.Err() != nil {
			return
		}
		if h.worth(h.allocated()-before) && !h.giveBack(ctx) {
			return
		}
	}
}

// giveBack releases the heap and rests; false: ctx is done.
func (h *heap) giveBack(ctx context.Context) bool {
	h.arm()
	h.release()
	select { // the collection that this was
	case <-h.collected:
	case <-ctx.Done():
		return false
	}
	h.arm() // what is collected meanwhile counts afterwards
	select {
	case <-time.After(h.rest):
		return true
	case <-ctx.Done():
		return false
	}
}

// next waits for a collection.
func (h *heap) next(ctx context.Context) bool {
	h.arm()
	select {
	case <-h.collected:
		return true
	case <-ctx.Done():
		return false
	}
}

// busy tells, after the time at the latest, whether the process is busy. A large
// heap is collected every few seconds only, however much is done: what is
// allocated counts, too.
func (h *heap) busy(ctx context.Context, quiet time.Duration) bool {
	h.arm()
	before := h.allocated()
	late := time.NewTimer(quiet)
	defer late.Stop()
	select {
	case <-h.collected:
		return true
	case <-late.C:
		return h.allocated()-before >= muchMade
	case <-ctx.Done():
		return false
	}
}
