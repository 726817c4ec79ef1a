package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/snapfile"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	e := openTest(t, Options{Dir: dir})
	mustCommit(t, e, setKey("/a", "1"))
	mustCommit(t, e, setKey("/a", "2"))
	rev := mustCommit(t, e, []store.Op{{Key: "/b", Value: []byte("1")}, {Key: "/a"}})
	if err := e.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	e = openTest(t, Options{Dir: dir})
	if e.Revision() != rev || e.Oldest() != 0 {
		t.Errorf("revision %d, oldest %d; want %d and 0", e.Revision(), e.Oldest(), rev)
	}
	if rec, ok, err := e.Get(t.Context(), "/a"); ok || err != nil {
		t.Errorf("a deleted key is back: %+v, %v", rec, err)
	}
	if s, err := e.Scan(t.Context(), store.Page{At: 2}); err != nil || len(s.Records) != 1 || string(s.Records[0].Value) != "2" {
		t.Errorf("the state at 2 is %+v, %v", s, err)
	}
	if err := e.Compact(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	e.Close()
	e = openTest(t, Options{Dir: dir})
	if e.Revision() != rev || e.Oldest() != rev {
		t.Errorf("after compaction: revision %d, oldest %d; want %d", e.Revision(), e.Oldest(), rev)
	}
	if next := mustCommit(t, e, setKey("/c", "1")); next != rev+1 {
		t.Errorf("the next revision is %d, want %d", next, rev+1)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	e := openTest(t, Options{Dir: t.TempDir()})
	rev := mustCommit(t, e, []store.Op{{Key: "/a", Value: []byte("1"), TTL: time.Hour}})
	if _, err := e.Watch(t.Context(), "/", rev); err != nil {
		t.Fatal(err)
	}
	if err := e.Compact(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	goleak.VerifyNone(t, before)
}

func TestExpirySurvivesARestart(t *testing.T) {
	fs := vfs.NewMem()
	e := openTest(t, Options{Dir: "store", FS: fs})
	rev := mustCommit(t, e, []store.Op{{Key: "/brief", Value: []byte("1"), TTL: 50 * time.Millisecond}})
	e.Close()
	e = openTest(t, Options{Dir: "store", FS: fs})
	if err := e.WaitFor(t.Context(), rev+1); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := e.Get(t.Context(), "/brief"); ok || err != nil {
		t.Errorf("the key is still there: %v", err)
	}
}

func TestExpiryInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := open(t.Context(), Options{InMemory: true})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		mustCommit(t, e, []store.Op{{Key: "/hour", Value: []byte("1"), TTL: time.Hour}})
		time.Sleep(time.Hour - time.Second) // virtual time
		synctest.Wait()
		if _, ok, _ := e.Get(t.Context(), "/hour"); !ok {
			t.Error("the key went too early")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if _, ok, _ := e.Get(t.Context(), "/hour"); ok {
			t.Error("the key outlived its hour")
		}
	})
}

func TestHistoryIsCompactedByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := open(t.Context(), Options{InMemory: true, Keep: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		for i := range 10 { // a change every 20 s
			mustCommit(t, e, setKey("/a", fmt.Sprint(i)))
			time.Sleep(20 * time.Second) // virtual time
			synctest.Wait()
		}
		if old := e.Oldest(); old < 4 || old > 8 {
			t.Errorf("after 200 s, with a minute kept, the oldest of 10 revisions is %d", old)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if e.Oldest() != e.Revision() {
			t.Errorf("idle history is kept: oldest %d, newest %d", e.Oldest(), e.Revision())
		}
		if n := countKeys(t, e); n != 1 {
			t.Errorf("%d versions, log entries and marks are left, want the newest version alone", n)
		}
	})
}

// What was written before the clock was set back is dated in the future: history
// ages all the same.
func TestHistoryAgesAfterTheClockWasSetBack(t *testing.T) {
	fs := vfs.NewMem()
	run := func(fn func(t *testing.T, e *engine)) {
		synctest.Test(t, func(t *testing.T) { // each begins at the same time
			e, err := open(t.Context(), Options{Dir: "store", FS: fs, Keep: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			fn(t, e)
		})
	}
	run(func(t *testing.T, e *engine) {
		time.Sleep(365 * 24 * time.Hour) // virtual time
		mustCommit(t, e, setKey("/a", "1"))
		mustCommit(t, e, setKey("/a", "2"))
	})
	run(func(t *testing.T, e *engine) {
		mustCommit(t, e, setKey("/a", "3"))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if e.Oldest() != e.Revision() {
			t.Errorf("ten minutes later the oldest revision is %d, the newest %d", e.Oldest(), e.Revision())
		}
	})
}

// countKeys counts everything but the meta table.
func countKeys(t *testing.T, e *engine) int {
	t.Helper()
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableMeta + 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	return n
}

func TestHistoryIsCompactedByCount(t *testing.T) {
	e := openTest(t, Options{InMemory: true, KeepChanges: 100})
	for i := range 1000 {
		mustCommit(t, e, setKey(fmt.Sprint("/k", i%10), fmt.Sprint(i)))
	}
	await.Until(t, time.Minute, "old history is compacted", func() bool { return e.Revision()-e.Oldest() <= 130 })
	if s, err := e.Scan(t.Context(), store.Page{At: e.Oldest()}); err != nil || len(s.Records) != 10 {
		t.Errorf("the oldest state has %d keys, %v", len(s.Records), err)
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	openTest(t, Options{Dir: dir})
	_, err := Open(t.Context(), Options{Dir: dir})
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("error %v, want ErrLocked naming process %d", err, os.Getpid())
	}
}

func TestNobodyElseCanRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	openTest(t, Options{Dir: dir})
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, %v; want 0700", info.Mode().Perm(), err)
	}
}

func TestNewerFormat(t *testing.T) {
	fs := vfs.NewMem()
	e := openTest(t, Options{Dir: "store", FS: fs})
	if err := e.db.Set(metaKey(metaFormat), binary.BigEndian.AppendUint64(nil, formatVersion+1), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	e.Close()
	_, err := Open(t.Context(), Options{Dir: "store", FS: fs})
	if !errors.Is(err, store.ErrNewerFormat) {
		t.Errorf("error %v, want ErrNewerFormat", err)
	}
	if _, err := Open(t.Context(), Options{Dir: "store", FS: fs}); errors.Is(err, store.ErrLocked) {
		t.Error("a refused directory stays locked")
	}
}

func TestNewerPebbleFormat(t *testing.T) {
	fs := vfs.NewMem()
	openTest(t, Options{Dir: "store", FS: fs}).Close()
	names, err := fs.List("store")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "marker.format-version.") {
			newer := "marker.format-version.000999.999"
			if err := fs.Rename(fs.PathJoin("store", name), fs.PathJoin("store", newer)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := Open(t.Context(), Options{Dir: "store", FS: fs}); !errors.Is(err, store.ErrNewerFormat) {
		t.Errorf("error %v, want ErrNewerFormat", err)
	}
}

func TestSnapshotAndRestore(t *testing.T) {
	fs := vfs.NewMem()
	from := openTest(t, Options{Dir: "from", FS: fs})
	for i := range 500 {
		mustCommit(t, from, setKey(fmt.Sprintf("/k%03d", i%300), strings.Repeat("v", i)))
	}
	mustCommit(t, from, []store.Op{{Key: "/k000"}, {Key: "/empty", Value: []byte{}}})
	var want store.Scan
	var file bytes.Buffer
	var rev store.Revision
	for ttl := 100 * time.Millisecond; ; ttl *= 4 { // until the snapshot is made while the key lives
		began := time.Now()
		mustCommit(t, from, []store.Op{{Key: "/brief", Value: []byte("1"), TTL: ttl}})
		var err error
		if want, err = from.Scan(t.Context(), store.Page{}); err != nil {
			t.Fatal(err)
		}
		file.Reset()
		if rev, err = from.Snapshot(t.Context(), &file); err != nil {
			t.Fatal(err)
		}
		if time.Since(began) < ttl {
			break
		}
	}
	if rev != want.Revision {
		t.Fatalf("snapshot of %d: %d", want.Revision, rev)
	}
	options := Options{Dir: "to", FS: fs}
	for name, damaged := range map[string][]byte{
		"empty": {}, "cut short": file.Bytes()[:file.Len()-1], "changed": flip(file.Bytes(), file.Len()/2),
	} {
		if _, err := Restore(t.Context(), options, bytes.NewReader(damaged)); !errors.Is(err, snapfile.ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
	}
	if _, err := fs.Stat("to"); err == nil {
		t.Fatal("a refused restore left a directory")
	}
	if got, err := Restore(t.Context(), options, bytes.NewReader(file.Bytes())); err != nil || got != rev {
		t.Fatalf("restore: %d, %v", got, err)
	}
	to := openTest(t, options)
	got, err := to.Scan(t.Context(), store.Page{At: rev})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	if to.Revision() < rev || to.Oldest() != rev {
		t.Errorf("revision %d, oldest %d, want %d", to.Revision(), to.Oldest(), rev)
	}
	if err := to.WaitFor(t.Context(), rev+1); err != nil { // the expiry came along
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), options, bytes.NewReader(file.Bytes())); err == nil {
		t.Error("restore over an existing store was accepted")
	}
}

// A key whose life ended before it was restored goes when the store is opened,
// and not while it is restored: there it has no revision to go at.
func TestWhatIsRestoredExpiresAfterwards(t *testing.T) {
	const rev = 5
	var file bytes.Buffer
	out, err := snapfile.NewWriter(&file, rev, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	brief := snapfile.Record{Record: store.Record{Key: "/brief", Value: []byte("1"), Modified: rev}, Expiry: time.Now().Add(-time.Hour)}
	if err := errors.Join(out.Write(brief), out.Close()); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		options := Options{Dir: "to", FS: vfs.NewMem()}
		if _, err := Restore(t.Context(), options, bytes.NewReader(file.Bytes())); err != nil {
			t.Fatal(err)
		}
		to := openTest(t, options)
		within, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := to.WaitFor(within, rev+1); err != nil {
			t.Fatalf("the key does not go: %v", err)
		}
		cancel()
		if _, there, err := to.Get(t.Context(), "/brief"); there || err != nil {
			t.Errorf("the key is there %v, error %v", there, err)
		}
	}
}

func flip(b []byte, at int) []byte {
	out := bytes.Clone(b)
	out[at] ^= 1
	return out
}

func TestGroupsAnswerEachRequestAlone(t *testing.T) {
	e := openTest(t, Options{InMemory: true})
	w := newWriter(e)
	requests := []*request{
		{ops: []store.Op{{Key: "/a", Value: []byte("1"), Expect: store.Absent()}}, done: make(chan struct{})},
		{ops: []store.Op{{Key: "/a", Value: []byte("2"), Expect: store.Absent()}}, done: make(chan struct{})},
		{ops: []store.Op{{Key: "/a", Value: []byte("3"), Expect: store.ModifiedAt(1)}}, done: make(chan struct{})},
		{ops: []store.Op{{Key: "/a"}}, done: make(chan struct{})},
		{ops: []store.Op{{Key: "/a"}}, done: make(chan struct{})},
	}
	w.commit(requests)
	for i, want := range []struct {
		rev      store.Revision
		conflict bool
	}{{1, false}, {0, true}, {2, false}, {3, false}, {0, true}} {
		got := requests[i].result
		if got.revision != want.rev || errors.Is(got.err, store.ErrConflict) != want.conflict {
			t.Errorf("request %d: revision %d, %v; want %+v", i, got.revision, got.err, want)
		}
	}
}
