package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/knarr-io/knarr/internal/store"
)

func testPages(t *testing.T, s store.Store) {
	var want []entry
	for i := range 25 {
		key := fmt.Sprintf("/page/%02d", i)
		want = append(want, entry{Key: key, Value: "v", Revision: commit(t, s, put(key, "v"))})
	}
	commit(t, s, put("/other", "v"), put("/pagf", "v"))
	for _, limit := range []int{0, 1, 7, 25, 26} {
		var got []entry
		page := store.Page{Prefix: "/page/", Limit: limit}
		for {
			one := scan(t, s, page)
			if limit > 0 && len(one.Records) > limit {
				t.Fatalf("limit %d: a page of %d", limit, len(one.Records))
			}
			got = append(got, records(one.Records)...)
			if !one.More {
				break
			}
			page.After, page.At = one.Records[len(one.Records)-1].Key, one.Revision
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
	}
	if got := scan(t, s, store.Page{Prefix: "/page/", After: "/page/05x", Limit: 1}); got.Records[0].Key != "/page/06" {
		t.Errorf("behind a key that does not exist comes %s, want /page/06", got.Records[0].Key)
	}
	if got := scan(t, s, store.Page{Prefix: "/page/", After: "/z"}); len(got.Records) != 0 {
		t.Errorf("behind the prefix: %d records", len(got.Records))
	}
}

func testScanAt(t *testing.T, s store.Store) {
	states := map[store.Revision][]entry{}
	note := func(rev store.Revision) {
		states[rev] = records(scan(t, s, store.Page{Prefix: "/"}).Records)
	}
	note(commit(t, s, put("/a", "1")))
	note(commit(t, s, put("/b", "1")))
	for i := range 10 { // many versions of one key
		note(commit(t, s, put("/a", fmt.Sprint("again ", i))))
	}
	note(commit(t, s, del("/a")))
	note(commit(t, s, put("/aa", "1"), del("/b")))
	note(commit(t, s, put("/a", "back")))
	for rev, want := range states {
		got := scan(t, s, store.Page{Prefix: "/", At: rev})
		if diff := cmp.Diff(want, records(got.Records)); diff != "" {
			t.Errorf("state at %d (-want +got):\n%s", rev, diff)
		}
		if got.Revision != rev {
			t.Errorf("scan at %d says %d", rev, got.Revision)
		}
	}
	if _, err := s.Scan(bounded(t), store.Page{At: s.Revision() + 1}); !errors.Is(err, store.ErrFuture) {
		t.Errorf("scan ahead of time: %v, want ErrFuture", err)
	}
}

func testScanBounds(t *testing.T, s store.Store) {
	keys := []string{"/a", "/a-b", "/a/", "/a/b", "/a0", "/ab", "/\xff", "/\xff\xff"}
	for _, k := range keys {
		commit(t, s, put(k, k))
	}
	for prefix, want := range map[string][]string{
		"":        {"/a", "/a-b", "/a/", "/a/b", "/a0", "/ab", "/\xff", "/\xff\xff"},
		"/a":      {"/a", "/a-b", "/a/", "/a/b", "/a0", "/ab"},
		"/a/":     {"/a/", "/a/b"},
		"/\xff":   {"/\xff", "/\xff\xff"},
		"nothing": nil,
	} {
		var got []string
		for _, r := range scan(t, s, store.Page{Prefix: prefix}).Records {
			got = append(got, r.Key)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("prefix %q (-want +got):\n%s", prefix, diff)
		}
	}
}

func testCompact(t *testing.T, s store.Store) {
	commit(t, s, put("/a", "1"))
	commit(t, s, put("/b", "1"), put("/c", "1"))
	commit(t, s, put("/a", "2"), del("/c"))
	want := records(scan(t, s, store.Page{}).Records)
	at := s.Revision()
	commit(t, s, put("/a", "3"))
	if err := s.Compact(bounded(t), at); err != nil {
		t.Fatalf("Compact: %v", err)
	}
	if s.Oldest() != at {
		t.Errorf("Oldest = %d, want %d", s.Oldest(), at)
	}
	if diff := cmp.Diff(want, records(scan(t, s, store.Page{At: at}).Records)); diff != "" {
		t.Errorf("the state at the compacted revision (-want +got):\n%s", diff)
	}
	if _, err := s.Scan(bounded(t), store.Page{At: at - 1}); !errors.Is(err, store.ErrTooOld) {
		t.Errorf("scan before: %v, want ErrTooOld", err)
	}
	if _, err := s.Watch(bounded(t), "/", at-1); !errors.Is(err, store.ErrTooOld) {
		t.Errorf("watch from before: %v, want ErrTooOld", err)
	}
	wantChanges := []entry{{Key: "/a", Value: "3", Revision: at + 1}}
	if diff := cmp.Diff(wantChanges, changes(collect(t, watch(t, s, "/", at), 1))); diff != "" {
		t.Errorf("watch from the compacted revision (-want +got):\n%s", diff)
	}
	if err := s.Compact(bounded(t), at-1); err != nil {
		t.Errorf("compacting what is compacted: %v", err)
	}
	if err := s.Compact(bounded(t), s.Revision()+1); !errors.Is(err, store.ErrFuture) {
		t.Errorf("compacting ahead: %v, want ErrFuture", err)
	}
	if err := s.Compact(bounded(t), s.Revision()); err != nil {
		t.Fatalf("Compact to the newest: %v", err)
	}
	if rec, ok, err := s.Get(bounded(t), "/b"); !ok || err != nil || string(rec.Value) != "1" {
		t.Errorf("compaction lost an old key: %+v, %v, %v", rec, ok, err)
	}
	if rev := commit(t, s, store.Op{Key: "/c", Value: []byte{1}, Expect: store.Absent()}); rev != at+2 {
		t.Errorf("revision after compaction = %d, want %d", rev, at+2)
	}
}

func testExpiry(t *testing.T, s store.Store) {
	w := watch(t, s, "/", 0)
	ttl := 30 * time.Millisecond
	// One commit: two would have a busy machine's pauses between them.
	commit(t, s, store.Op{Key: "/brief", Value: []byte("1"), TTL: ttl}, put("/stays", "1"),
		store.Op{Key: "/briefer", Value: []byte("1"), TTL: ttl / 2})
	got := changes(collect(t, w, 5))
	want := []entry{
		{Key: "/brief", Value: "1", Revision: 1}, {Key: "/stays", Value: "1", Revision: 2},
		{Key: "/briefer", Value: "1", Revision: 3},
		{Key: "/briefer", Deleted: true, Revision: 4}, {Key: "/brief", Deleted: true, Revision: 5},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]entry{{Key: "/stays", Value: "1", Revision: 2}}, records(scan(t, s, store.Page{}).Records)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// testExpiryRenewed: a key that was written again lives as the last write says.
func testExpiryRenewed(t *testing.T, s store.Store) {
	for ttl := 40 * time.Millisecond; !renewedInTime(t, s, ttl); {
		ttl *= 4 // the machine is busy
	}
}

// renewedInTime plays it once; it is false where the first writes may have
// expired before the others were made.
func renewedInTime(t *testing.T, s store.Store, ttl time.Duration) bool {
	dir := "/" + ttl.String() + "/"
	w := watch(t, s, dir, s.Revision())
	began := time.Now()
	commit(t, s, store.Op{Key: dir + "kept", Value: []byte("1"), TTL: ttl})
	commit(t, s, put(dir+"kept", "2"))
	commit(t, s, store.Op{Key: dir + "deleted", Value: []byte("1"), TTL: ttl})
	commit(t, s, del(dir+"deleted"))
	commit(t, s, put(dir+"deleted", "again"))
	if time.Since(began) >= ttl {
		return false
	}
	// Expires after both of the above would have.
	last := commit(t, s, store.Op{Key: dir + "last", Value: []byte("1"), TTL: 2 * ttl})
	got := changes(collect(t, w, 7))
	if want := (entry{Key: dir + "last", Deleted: true, Revision: last + 1}); got[6] != want {
		t.Errorf("the first key to expire is %+v, want %+v", got[6], want)
	}
	return true
}
