package supervisor

import "time"

const (
	defaultBackoffMin = 100 * time.Millisecond
	defaultBackoffMax = 10 * time.Second
	// resetAfter is the life after which a crash counts as the first again.
	resetAfter = 30 * time.Second
	// killedAfter is the life after which SIGKILL, which comes from outside, is
	// no crash of the program's.
	killedAfter = time.Second
)

// backoff decides when an ended program runs again: at once, then min after its
// last start, doubling to max. So what has lived for that long already runs
// again at once, and a program that crashes at its start is held back. A life
// of resetAfter starts over; a kill from outside after killedAfter counts for
// nothing.
type backoff struct {
	min, max time.Duration
	next     time.Duration // between two starts; zero: at once
}

// ended returns the pause before the restart of a program that lived for life.
func (b *backoff) ended(life time.Duration, killed bool) time.Duration {
	if life >= resetAfter {
		b.next = 0
	}
	if killed && life >= killedAfter {
		return 0
	}
	pause := max(0, b.next-life)
	b.next = min(max(b.next*2, b.min), b.max)
	return pause
}
