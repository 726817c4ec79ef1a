package disk

import (
	"errors"
	"testing"

	"github.com/knarr-io/knarr/internal/store"
)

// A key that is known not to have existed is not looked for, unless more was
// written since than is remembered; either way it is not written over.
func TestWhatWasWrittenSinceIsKnown(t *testing.T) {
	h := newHeads(2, 7)
	h.committed(map[string]store.Revision{"/a": 8}, 8)
	h.committed(map[string]store.Revision{"/b": 9}, 9)
	h.committed(map[string]store.Revision{"/b": 0}, 10)
	if _, ok := h.get("/a"); ok || h.whole != 8 {
		t.Errorf("/a is remembered: %v; all is known since %d, want 8", ok, h.whole)
	}
	h.committed(map[string]store.Revision{"/c": 11}, 11)
	if rev, ok := h.get("/b"); !ok || rev != 0 || h.whole != 9 {
		t.Errorf("/b: %d, %v, want its deletion; all is known since %d, want 9", rev, ok, h.whole)
	}
}

func TestAbsenceIsNotBelievedAcrossWhatWasForgotten(t *testing.T) {
	e := openTest(t, Options{InMemory: true, heads: 2})
	for _, key := range []string{"/a", "/b", "/c"} {
		if _, err := e.Commit(t.Context(), []store.Op{{Key: key, Value: []byte("v"), Expect: store.AbsentAt(0)}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"/a", "/c"} { // forgotten, and not
		_, err := e.Commit(t.Context(), []store.Op{{Key: key, Value: []byte("w"), Expect: store.AbsentAt(0)}})
		if !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s was written over: %v", key, err)
		}
	}
}
