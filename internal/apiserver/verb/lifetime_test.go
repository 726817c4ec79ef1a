package verb

import (
	"testing"
	"time"

	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/apiserver/listing"
)

func TestWatchesLastAsLongAsAskedElseBounded(t *testing.T) {
	if got := lifetime(listing.Query{Timeout: 7}); got != 7*time.Second {
		t.Errorf("asked for seven seconds: %v", got)
	}
	seen := map[time.Duration]bool{}
	for range 100 {
		got := lifetime(listing.Query{})
		if got < limits.WatchLeast || got >= limits.WatchMost {
			t.Fatalf("a watch lasts %v", got)
		}
		seen[got] = true
	}
	if len(seen) < 2 {
		t.Error("all watches end together")
	}
}
