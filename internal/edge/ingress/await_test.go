package ingress

import (
	"testing"
	"time"
)

// eventually waits for a condition that nothing tells of; say describes what
// is there instead.
func eventually(t *testing.T, done func() bool, say func() string) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	deadline := time.After(time.Minute)
	for !done() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("not within a minute; there is\n%s", say())
		}
	}
}
