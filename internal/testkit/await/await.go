// Package await waits in tests for what other goroutines bring about: it looks
// again and again until a deadline, and fails the test with what was waited
// for. It knows nothing of Knarr, so that tests of every floor may use it.
package await

import (
	"testing"
	"time"
)

// pace is the time between two looks.
const pace = 2 * time.Millisecond

// Until waits until ok holds. Deadlines are for machines that are ten times
// slower than yours: a minute is not too long.
func Until(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	until(t, within, ok, func() { t.Helper(); t.Fatalf("not within %s: %s", within, what) })
}

// Success waits until f fails no more; the test fails with its last error.
func Success(t testing.TB, within time.Duration, what string, f func() error) {
	t.Helper()
	var last error
	until(t, within, func() bool { last = f(); return last == nil },
		func() { t.Helper(); t.Fatalf("not within %s: %s: %v", within, what, last) })
}

func until(t testing.TB, within time.Duration, ok func() bool, late func()) {
	t.Helper()
	deadline, tick := time.NewTimer(within), time.NewTicker(pace)
	defer deadline.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			late()
			return
		}
	}
}
