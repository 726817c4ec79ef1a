package record

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/client"
)

// Where the clock was set back, events have the time of now, and still a name
// each.
func TestEventsAfterTheClockWasSetBack(t *testing.T) {
	r := New(client.New(nil, catalog.New()), "tester", "", nil)
	r.last.Store(time.Now().Add(24 * time.Hour).UnixNano())
	ref := corev1.ObjectReference{Namespace: "default", Name: "p", UID: "u"}
	names := map[string]bool{}
	for range 3 {
		r.EventRef(ref, corev1.EventTypeNormal, "Said", "something")
	}
	for _, q := range r.queues {
		for len(q) > 0 {
			rep := <-q
			names[eventName(rep)] = true
			if rep.at.After(time.Now()) {
				t.Errorf("an event is of %s", rep.at)
			}
		}
	}
	if len(names) != 3 {
		t.Errorf("three events are named %v", names)
	}
}
