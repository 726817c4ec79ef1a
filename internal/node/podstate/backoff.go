package podstate

import "time"

// Bounds of the delays between restarts of a container and between pulls of
// an image.
const (
	FirstDelay = 10 * time.Second
	MaxDelay   = 5 * time.Minute
)

// Backoff is the delay that a container's next restart has to keep. The zero
// value lets the first restart through at once. A container that ran for
// twice the longest delay starts afresh.
type Backoff struct {
	Delay   time.Duration
	Updated time.Time // when Delay was last raised
}

// Until is when a restart after an end at finished may happen.
func (b Backoff) Until(finished time.Time) time.Time {
	if b.Delay == 0 || b.expired(finished) {
		return finished
	}
	return finished.Add(b.Delay)
}

// Next is the back-off after a restart at now.
func (b Backoff) Next(finished, now time.Time) Backoff {
	if b.Delay == 0 || b.expired(finished) {
		return Backoff{Delay: FirstDelay, Updated: now}
	}
	return Backoff{Delay: min(2*b.Delay, MaxDelay), Updated: now}
}

func (b Backoff) expired(at time.Time) bool { return at.Sub(b.Updated) > 2*MaxDelay }
