package scheduler

import "sync"

// bell lets binders wait for the next change of what they watch. Make it with
// newBell; it is safe for concurrent use.
type bell struct {
	mu      sync.Mutex
	changed chan struct{} // guarded by mu; closed at the next ring
}

func newBell() *bell { return &bell{changed: make(chan struct{})} }

// ring lets everybody who waits look again.
func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
}

// next is closed at the next ring. Take it before looking, so that no change
// is missed.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}
