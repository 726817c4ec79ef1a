package harness

import (
	"context"
	"testing"
	"time"
)

// pause is how long Await rests between two looks.
const pause = 50 * time.Millisecond

// Await looks again and again until f finds what it waits for, and fails the
// test with f's last complaint when it takes longer than within.
func Await(t testing.TB, within time.Duration, what string, f func(context.Context) error) {
	t.Helper()
	if err := awaitErr(t.Context(), within, f); err != nil {
		t.Fatalf("no %s within %s: %v", what, within, err)
	}
}

func awaitErr(ctx context.Context, within time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	var last error
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-ticker.C:
		}
	}
}
