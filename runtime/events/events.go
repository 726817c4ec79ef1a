// Package events gives what happens to containers to whoever follows it.
package events

import "sync"

// buffer is how many events a follower may lag before it is cut off and has to list anew.
const buffer = 1024

// Hub passes events of type T on. The zero value is ready for use.
type Hub[T any] struct {
	mu   sync.Mutex
	subs map[chan T]struct{}
}

// Subscribe returns the events from now on. The channel closes when the
// follower lags too far behind, or by cancel.
func (h *Hub[T]) Subscribe() (<-chan T, func()) {
	ch := make(chan T, buffer)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs == nil {
		h.subs = map[chan T]struct{}{}
	}
	h.subs[ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.removeLocked(ch)
	}
}

func (h *Hub[T]) removeLocked(ch chan T) {
	if _, ok := h.subs[ch]; ok {
		delete(h.subs, ch)
		close(ch)
	}
}

// Publish passes on the event that tell makes, if anybody follows. Events are
// made one after the other: none tells what was true before one that went
// ahead of it. It never blocks, nor may tell.
func (h *Hub[T]) Publish(tell func() T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.subs) == 0 {
		return
	}
	e := tell()
	for ch := range h.subs {
		select {
		case ch <- e:
		default:
			h.removeLocked(ch)
		}
	}
}
