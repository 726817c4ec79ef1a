package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knarr-io/knarr/internal/store"
)

func testDense(t *testing.T, s store.Store) {
	if got := s.Revision(); got != 0 {
		t.Fatalf("an empty store is at revision %d, want 0", got)
	}
	first := commit(t, s, put("/a", "1"))
	if first != 1 {
		t.Errorf("first revision = %d, want 1", first)
	}
	second := commit(t, s, put("/b", "1"), put("/a", "2"), put("/c", "1"))
	if want := first + 3; second != want {
		t.Errorf("revision after a commit of three = %d, want %d", second, want)
	}
	want := []entry{
		{Key: "/a", Value: "2", Revision: first + 2},
		{Key: "/b", Value: "1", Revision: first + 1},
		{Key: "/c", Value: "1", Revision: first + 3},
	}
	got := scan(t, s, store.Page{Prefix: "/"})
	if diff := cmp.Diff(want, records(got.Records)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if got.Revision != second || s.Revision() != second {
		t.Errorf("scan at %d, store at %d, want %d", got.Revision, s.Revision(), second)
	}
	if rev := commit(t, s); rev != second {
		t.Errorf("an empty commit gave %d, want the newest revision %d", rev, second)
	}
}

func testGuards(t *testing.T, s store.Store) {
	rev := commit(t, s, put("/there", "1"))
	gone := commit(t, s, put("/gone", "1"))
	commit(t, s, del("/gone"))
	for name, c := range map[string]struct {
		op       store.Op
		ok       bool
		modified store.Revision
	}{
		"absent, is there":          {op: store.Op{Key: "/there", Value: []byte{1}, Expect: store.Absent()}, modified: rev},
		"absent, never was":         {op: store.Op{Key: "/new", Value: []byte{1}, Expect: store.Absent()}, ok: true},
		"absent, was deleted":       {op: store.Op{Key: "/gone", Value: []byte{1}, Expect: store.Absent()}, ok: true},
		"modified at another":       {op: store.Op{Key: "/there", Value: []byte{1}, Expect: store.ModifiedAt(rev + 1)}, modified: rev},
		"modified, never was":       {op: store.Op{Key: "/never", Value: []byte{1}, Expect: store.ModifiedAt(rev)}},
		"modified, deleted before":  {op: store.Op{Key: "/never", Value: []byte{1}, Expect: store.ModifiedAt(gone)}},
		"delete what is not there":  {op: del("/never")},
		"delete expecting absence":  {op: store.Op{Key: "/never", Expect: store.Absent()}},
		"delete at another version": {op: store.Op{Key: "/there", Expect: store.ModifiedAt(rev + 1)}, modified: rev},
	} {
		before := s.Revision()
		_, err := s.Commit(bounded(t), []store.Op{c.op})
		if c.ok {
			if err != nil {
				t.Errorf("%s: %v, want success", name, err)
			}
			continue
		}
		var conflict *store.ConflictError
		if !errors.Is(err, store.ErrConflict) || !errors.As(err, &conflict) {
			t.Errorf("%s: error %v, want a conflict", name, err)
			continue
		}
		if conflict.Key != c.op.Key || conflict.Modified != c.modified {
			t.Errorf("%s: conflict on %s at %d, want %s at %d", name, conflict.Key, conflict.Modified, c.op.Key, c.modified)
		}
		if s.Revision() != before {
			t.Errorf("%s: a refused commit moved the revision", name)
		}
	}
	if _, err := s.Commit(bounded(t), []store.Op{{Key: "/there", Expect: store.ModifiedAt(rev)}}); err != nil {
		t.Errorf("deletion with the right revision: %v", err)
	}
	if _, ok, err := s.Get(bounded(t), "/there"); ok || err != nil {
		t.Errorf("Get after deletion = %v, %v", ok, err)
	}
}

func testAtomic(t *testing.T, s store.Store) {
	commit(t, s, put("/a", "1"))
	before := s.Revision()
	_, err := s.Commit(bounded(t), []store.Op{put("/b", "1"), del("/a"), {Key: "/c", Value: []byte{1}, Expect: store.ModifiedAt(77)}})
	if !errors.Is(err, store.ErrConflict) {
		t.Fatalf("error %v, want a conflict", err)
	}
	want := []entry{{Key: "/a", Value: "1", Revision: 1}}
	if diff := cmp.Diff(want, records(scan(t, s, store.Page{}).Records)); diff != "" {
		t.Errorf("a refused commit left traces (-want +got):\n%s", diff)
	}
	if s.Revision() != before {
		t.Errorf("revision %d, want %d", s.Revision(), before)
	}
	if _, err := s.Commit(bounded(t), []store.Op{put("/x", "1"), put("/x", "2")}); err == nil {
		t.Error("a commit that names a key twice was taken in")
	}
}

func testTooLarge(t *testing.T, s store.Store) {
	huge := make([]byte, 64<<20)
	if _, err := s.Commit(bounded(t), []store.Op{{Key: "/huge", Value: huge}}); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a value of %d bytes: error %v, want ErrTooLarge", len(huge), err)
	}
	if s.Revision() != 0 {
		t.Errorf("revision %d, want 0", s.Revision())
	}
	for _, key := range []string{"", "/with\x00zero"} {
		if _, err := s.Commit(bounded(t), []store.Op{put(key, "1")}); err == nil {
			t.Errorf("key %q was taken in", key)
		}
	}
}

func testEmptyValue(t *testing.T, s store.Store) {
	rev := commit(t, s, store.Op{Key: "/empty", Value: []byte{}})
	rec, ok, err := s.Get(bounded(t), "/empty")
	if err != nil || !ok || rec.Value == nil || len(rec.Value) != 0 || rec.Modified != rev {
		t.Errorf("Get = %+v, %v, %v; want an empty value at %d", rec, ok, err, rev)
	}
	if got := collect(t, watch(t, s, "/", 0), 1); got[0].Deleted() {
		t.Error("the watch shows an empty value as a deletion")
	}
}

func testCancelled(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Commit(ctx, []store.Op{put("/a", "1")}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	commit(t, s, put("/b", "1"))
	want := []entry{{Key: "/b", Value: "1", Revision: 1}}
	if diff := cmp.Diff(want, records(scan(t, s, store.Page{}).Records)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// testConcurrent counts with guarded read-modify-write from many goroutines.
func testConcurrent(t *testing.T, s store.Store) {
	const workers, each = 8, 40
	commit(t, s, put("/counter", "0"))
	ctx := bounded(t)
	var wg sync.WaitGroup
	errs := make(chan error, workers)
	for range workers {
		wg.Go(func() {
			for range each {
				if err := increment(ctx, s); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Fatal(err)
	}
	rec, _, err := s.Get(ctx, "/counter")
	if err != nil || string(rec.Value) != fmt.Sprint(workers*each) {
		t.Errorf("counter = %q, %v; want %d", rec.Value, err, workers*each)
	}
	got := changes(collect(t, watch(t, s, "/counter", 0), workers*each+1))
	for i, ch := range got {
		if want := (entry{Key: "/counter", Value: fmt.Sprint(i), Revision: store.Revision(i + 1)}); ch != want {
			t.Fatalf("change %d = %+v, want %+v", i, ch, want)
		}
	}
}

func increment(ctx context.Context, s store.Store) error {
	for {
		rec, _, err := s.Get(ctx, "/counter")
		if err != nil {
			return err
		}
		var n int
		if _, err := fmt.Sscan(string(rec.Value), &n); err != nil {
			return err
		}
		op := store.Op{Key: "/counter", Value: fmt.Append(nil, n+1), Expect: store.ModifiedAt(rec.Modified)}
		if _, err := s.Commit(ctx, []store.Op{op}); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

func testClose(t *testing.T, s store.Store) {
	rev := commit(t, s, put("/a", "1"))
	w := watch(t, s, "/", rev)
	ended := make(chan error, 1)
	go func() {
		_, err := w.Next(context.Background())
		ended <- err
	}()
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	ctx := bounded(t)
	select {
	case err := <-ended:
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("watch ended with %v, want ErrClosed", err)
		}
	case <-ctx.Done():
		t.Fatal("Close did not end the watch")
	}
	_, commitErr := s.Commit(ctx, []store.Op{put("/a", "2")})
	_, _, getErr := s.Get(ctx, "/a")
	_, scanErr := s.Scan(ctx, store.Page{})
	_, watchErr := s.Watch(ctx, "/", 0)
	for name, err := range map[string]error{
		"Commit": commitErr, "Get": getErr, "Scan": scanErr, "Watch": watchErr,
		"Compact": s.Compact(ctx, rev), "WaitFor": s.WaitFor(ctx, rev+1),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}
