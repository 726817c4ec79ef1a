package replicas

import (
	"testing"
	"time"
)

func TestOnlyLargeSetsGatherChanges(t *testing.T) {
	for pods, want := range map[int]time.Duration{
		0: 0, 1: 0, smallSet - 1: 0, 500: 100 * time.Millisecond, 1000: mostGathering, 100_000: mostGathering,
	} {
		if got := gathering(pods); got != want {
			t.Errorf("changes of %d pods are gathered for %s, want %s", pods, got, want)
		}
	}
}
