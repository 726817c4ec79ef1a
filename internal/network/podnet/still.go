package podnet

import (
	"context"
	"time"
)

// Firewalls that are loaded by many small transactions, as ufw's is, fail when
// somebody else's falls between two of them. So ours waits until nobody has
// changed anything for a while; it does not wait for ever, for those who change
// something all the time.
const (
	stillTime   = time.Second
	longestWait = 10 * time.Second
)

// news is what was heard of other owners' tables.
type news int

const (
	silence news = iota
	busy         // something changed that our rules do not depend on
	changed      // our rules may be missing
)

// whenStill does what is to be done after a change, each time that all is still
// again, until ctx ends; and once at first, when something may have changed
// unheard.
func whenStill(ctx context.Context, heard <-chan news, do func()) {
	still, since := time.NewTimer(stillTime), time.Now()
	defer still.Stop()
	for wanted := true; ; {
		select {
		case <-ctx.Done():
			return
		case n := <-heard:
			if !wanted && n < changed {
				continue
			}
			if !wanted {
				wanted, since = true, time.Now()
			}
			still.Reset(min(stillTime, longestWait-time.Since(since)))
		case <-still.C:
			wanted = false
			do()
		}
	}
}
