package soak

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// settleTime bounds how long figures may take to come back: what is deleted
// goes in the background, and memory when the collector has run.
const settleTime = 8 * time.Minute

// TestNothingLeaks is the soak.
func TestNothingLeaks(t *testing.T) {
	// Every way is gone once before the first measurement, and every process
	// has been started anew: what is made once and kept is no leak.
	turn(t, 0)
	for _, words := range restarted {
		restart(t, words)
	}
	turn(t, 1)
	turn(t, 2)
	atRest(t)
	before := measure(t, "before")
	end := time.Now().Add(length())
	turns, restarts := 0, 0
	for ; turns == 0 || time.Now().Before(end); turns++ {
		turn(t, turns+3)
		if time.Until(end) > length()/2 || restarts == 0 {
			restart(t, restarted[restarts%len(restarted)])
			restarts++
		}
	}
	atRest(t)
	after := settle(t, before)
	text := table(before, after)
	t.Logf("%d turns, %d restarts in %s:\n%s", turns, restarts, length(), text)
	if err := write("", fmt.Appendf(nil, "%d turns, %d restarts in %s\n\n%s", turns, restarts, length(), text)); err != nil {
		t.Error(err)
	}
	if over := leaks(before, after); len(over) > 0 {
		t.Errorf("these did not come back:\n%s", strings.Join(over, "\n"))
	}
}

// settle measures until everything has come back, or for a while.
func settle(t *testing.T, before []figure) (after []figure) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settleTime)
	defer cancel()
	for {
		after = measure(t, "after")
		if len(leaks(before, after)) == 0 || ctx.Err() != nil {
			return after
		}
		look(ctx)
	}
}

// look rests between two measurements.
func look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	<-ctx.Done()
}

// atRest waits until no namespace of a turn, and no pod of one, is left.
func atRest(t *testing.T) {
	t.Helper()
	harness.Await(t, settleTime, "rest", func(ctx context.Context) error {
		left, err := leftNamespaces(ctx)
		if err == nil && len(left) > 0 {
			err = errors.New("there are still " + strings.Join(left, ", "))
		}
		return err
	})
}
