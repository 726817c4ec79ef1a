package cache

import "time"

// The histories of resources that see no more events are trimmed by one timer
// for the whole cache; it is set only while there is something to trim.

// scheduleExpiry makes the timer fire after d at the latest.
func (c *Cache) scheduleExpiry(d time.Duration) {
	at := time.Now().Add(d)
	c.expiryMu.Lock()
	defer c.expiryMu.Unlock()
	if c.closed || c.expiry != nil && !at.Before(c.expiryAt) {
		return
	}
	if c.expiry != nil {
		c.expiry.Stop()
	}
	c.expiryAt = at
	c.expiry = time.AfterFunc(d, c.expire)
}

func (c *Cache) expire() {
	c.expiryMu.Lock()
	c.expiry = nil
	c.expiryMu.Unlock()
	now := time.Now()
	var next time.Time
	for _, r := range c.Resources() {
		if at, ok := r.expire(now); ok && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if !next.IsZero() {
		// At least a second, so that many ends of life are one wake-up.
		c.scheduleExpiry(max(next.Sub(now), time.Second))
	}
}

func (c *Cache) stopExpiry() {
	c.expiryMu.Lock()
	defer c.expiryMu.Unlock()
	c.closed = true
	if c.expiry != nil {
		c.expiry.Stop()
		c.expiry = nil
	}
}

// expire trims a resource and tells when that has to be done again.
func (r *Resource) expire(now time.Time) (next time.Time, ok bool) {
	r.mu.Lock()
	r.all.history.trim(r.cache.limits, now)
	for _, f := range r.scopes {
		f.history.trim(r.cache.limits, now)
	}
	oldest, ok := r.all.history.oldest()
	r.mu.Unlock()
	next = oldest.Add(r.cache.limits.age)
	if past, some := r.past.trim(now); some && (!ok || past.Before(next)) {
		return past, true
	}
	return next, ok
}
