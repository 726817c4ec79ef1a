package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knarr-io/knarr/internal/store"
)

func testWatchPast(t *testing.T, s store.Store) {
	commit(t, s, put("/a", "1"), put("/b", "1"))
	commit(t, s, del("/a"))
	commit(t, s, put("/b", "2"))
	all := []entry{
		{Key: "/a", Value: "1", Revision: 1}, {Key: "/b", Value: "1", Revision: 2},
		{Key: "/a", Deleted: true, Revision: 3}, {Key: "/b", Value: "2", Revision: 4},
	}
	for after := range all {
		got := changes(collect(t, watch(t, s, "/", store.Revision(after)), len(all)-after))
		if diff := cmp.Diff(all[after:], got); diff != "" {
			t.Errorf("after %d (-want +got):\n%s", after, diff)
		}
	}
}

func testWatchLive(t *testing.T, s store.Store) {
	w := watch(t, s, "/", 0)
	for i := range 20 {
		rev := commit(t, s, put("/a", fmt.Sprint(i)))
		want := []entry{{Key: "/a", Value: fmt.Sprint(i), Revision: rev}}
		if diff := cmp.Diff(want, changes(collect(t, w, 1))); diff != "" {
			t.Fatalf("change %d (-want +got):\n%s", i, diff)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := w.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Next with an ended context: %v", err)
	}
	commit(t, s, put("/a", "after"))
	if got := collect(t, w, 1); string(got[0].Value) != "after" {
		t.Errorf("after a cancelled Next the watch gave %q", got[0].Value)
	}
}

func testWatchPrefix(t *testing.T, s store.Store) {
	w := watch(t, s, "/pods/", 0)
	commit(t, s, put("/pods", "no"), put("/pods/a", "yes"), put("/podsa", "no"))
	commit(t, s, put("/nodes/a", "no"))
	commit(t, s, put("/pods/b", "yes"))
	want := []entry{{Key: "/pods/a", Value: "yes", Revision: 2}, {Key: "/pods/b", Value: "yes", Revision: 5}}
	if diff := cmp.Diff(want, changes(collect(t, w, 2))); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func testWatchStop(t *testing.T, s store.Store) {
	w := watch(t, s, "/", 0)
	ended := make(chan error, 1)
	go func() {
		_, err := w.Next(context.Background())
		ended <- err
	}()
	w.Stop()
	w.Stop()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("Next returned without changes and without an error")
		}
	case <-bounded(t).Done():
		t.Fatal("Stop did not end Next")
	}
}

// testWatchCatchesUp: a watch that nobody reads misses nothing, however many
// changes come.
func testWatchCatchesUp(t *testing.T, s store.Store) {
	const commits, each = 60, 50
	slow := watch(t, s, "/", 0)
	for i := range commits {
		ops := make([]store.Op, each)
		for j := range ops {
			ops[j] = put(fmt.Sprintf("/k%02d", j), fmt.Sprintf("%d and a few bytes more", i))
		}
		commit(t, s, ops...)
	}
	got := collect(t, slow, commits*each)
	for i, ch := range got {
		want := entry{Key: fmt.Sprintf("/k%02d", i%each), Value: fmt.Sprintf("%d and a few bytes more", i/each), Revision: store.Revision(i + 1)}
		if have := changes(got[i : i+1])[0]; have != want {
			t.Fatalf("change %d = %+v, want %+v", ch.Revision, have, want)
		}
	}
}

func testNotes(t *testing.T, s store.Store) {
	w := watch(t, s, "/", 0)
	commit(t, s, store.Op{Key: "/a", Value: []byte{1}, Note: "hello"}, put("/b", "1"))
	got := collect(t, w, 2)
	// An engine may lose a note, but must not make one up or mix them.
	if got[0].Note != nil && got[0].Note != "hello" || got[1].Note != nil {
		t.Errorf("notes %v and %v", got[0].Note, got[1].Note)
	}
}

func testWaitFor(t *testing.T, s store.Store) {
	rev := commit(t, s, put("/a", "1"))
	if err := s.WaitFor(bounded(t), rev); err != nil {
		t.Errorf("WaitFor what is there: %v", err)
	}
	done := make(chan error, 1)
	ctx := bounded(t)
	go func() { done <- s.WaitFor(ctx, rev+2) }()
	commit(t, s, put("/a", "2"))
	commit(t, s, put("/a", "3"))
	if err := <-done; err != nil {
		t.Errorf("WaitFor what came: %v", err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.WaitFor(ended, rev+100); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitFor with an ended context: %v", err)
	}
}
