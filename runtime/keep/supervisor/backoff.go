package supervisor

import "time"

const (
	defaultBackoffMin = 100 * time.Millisecond
	defaultBackoffMax = 10 * time.Second
	// resetAfter is the life after which a crash counts as the first again.
	resetAfter = 30 * time.Second
)

// backoff decides when a crashed program runs again: at once, then after min,
// doubling to max. A program that lived for resetAfter starts over.
type backoff struct {
	min, max time.Duration
	next     time.Duration // zero: at once
}

// crashed returns the pause before the restart of a program that lived for life.
func (b *backoff) crashed(life time.Duration) time.Duration {
	if life >= resetAfter {
		b.next = 0
	}
	pause := b.next
	b.next = min(max(b.next*2, b.min), b.max)
	return pause
}
