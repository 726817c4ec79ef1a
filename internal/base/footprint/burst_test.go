package footprint

import (
	"context"
	"runtime"
	"testing"
	"time"
)

// nothing is what an idle process allocates.
func nothing() uint64 { return 0 }

// followed runs a follower whose release is told on the channel.
func followed(t *testing.T, worth bool, quiet time.Duration) <-chan struct{} {
	t.Helper()
	released := make(chan struct{}, 100)
	h := heap{allocated: nothing, worth: func(uint64) bool { return worth }, pace: func(bool) {}, collected: make(chan struct{}, 1), release: func() {
		runtime.GC()
		released <- struct{}{}
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.follow(ctx, quiet) }()
	t.Cleanup(func() { cancel(); <-done })
	return released
}

// collectUntil collects the heap again and again until something happens: a
// collection may come before the follower is ready for it.
func collectUntil(t *testing.T, happened <-chan struct{}) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		runtime.GC()
		select {
		case <-happened:
			return
		case <-deadline.C:
			t.Fatal("nothing happened within a minute")
		case <-again.C:
		}
	}
}

func TestHeapIsGivenBackAfterABurst(t *testing.T) {
	collectUntil(t, followed(t, true, time.Millisecond))
}

func TestNothingIsGivenBackThatIsNotWorthIt(t *testing.T) {
	released := followed(t, false, time.Millisecond)
	for range 20 {
		runtime.GC()
	}
	if len(released) > 0 {
		t.Error("the heap was given back")
	}
}

func TestABurstIsToldWithItsEnd(t *testing.T) {
	busy, over := make(chan struct{}, 100), make(chan struct{}, 100)
	h := heap{allocated: nothing, worth: func(uint64) bool { return false }, collected: make(chan struct{}, 1), pace: func(more bool) {
		if more {
			busy <- struct{}{}
		} else {
			over <- struct{}{}
		}
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.follow(ctx, time.Hour) }()
	collectUntil(t, busy)
	if len(over) > 0 {
		t.Error("the burst was over while it lasted")
	}
	cancel()
	<-done
	if len(over) == 0 {
		t.Error("its end was not told")
	}
}

func TestAHeapThatIsCollectedAgainIsNotQuiet(t *testing.T) {
	released := followed(t, true, time.Hour)
	for range 20 {
		runtime.GC()
	}
	if len(released) > 0 {
		t.Error("the heap of a busy process was given back")
	}
}

func TestAProcessThatAllocatesMuchIsBusy(t *testing.T) {
	var total uint64
	h := heap{allocated: func() uint64 { total += muchMade; return total }, collected: make(chan struct{}, 1)}
	if !h.busy(t.Context(), time.Millisecond) {
		t.Error("it is held for quiet")
	}
}

// ballast is kept from the optimizer.
var ballast []byte

func TestMuchGarbageIsWorthwhile(t *testing.T) {
	for range 20 { // Go may give it back by itself before the look
		ballast = make([]byte, 4*leastExcess)
		for i := 0; i < len(ballast); i += 4096 {
			ballast[i] = 1
		}
		runtime.GC()
		ballast = nil
		runtime.GC()
		if worthwhile(0) {
			return
		}
	}
	t.Error("four times the least excess of free heap is not worth giving back")
}

// The last collection of a burst may come long before its end.
func TestWhatWasInUseInABurstMayBeGarbageAfterIt(t *testing.T) {
	ballast = make([]byte, 2*leastExcess)
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	runtime.GC()
	if !worthwhile(8 * leastExcess) {
		t.Error("a burst that made more than was in use is not worth a collection")
	}
	runtime.KeepAlive(ballast)
	ballast = nil
}
