package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/knarr-io/knarr/internal/store"
)

// Open makes an empty store; the suite closes it.
type Open func(t testing.TB) store.Store

// patience bounds every wait of the suite.
const patience = 2 * time.Minute

// Run checks an engine against the contract.
func Run(t *testing.T, open Open) {
	cases := map[string]func(t *testing.T, s store.Store){
		"CommitGivesDenseRevisions": testDense,
		"Guards":                    testGuards,
		"CommitIsAtomic":            testAtomic,
		"ScanPages":                 testPages,
		"ScanAtRevision":            testScanAt,
		"ScanBounds":                testScanBounds,
		"WatchFromThePast":          testWatchPast,
		"WatchLive":                 testWatchLive,
		"WatchPrefix":               testWatchPrefix,
		"WatchStop":                 testWatchStop,
		"WatchCatchesUp":            testWatchCatchesUp,
		"Notes":                     testNotes,
		"Compact":                   testCompact,
		"Expiry":                    testExpiry,
		"ExpiryIsRenewed":           testExpiryRenewed,
		"TooLarge":                  testTooLarge,
		"EmptyValue":                testEmptyValue,
		"WaitFor":                   testWaitFor,
		"Cancelled":                 testCancelled,
		"Concurrent":                testConcurrent,
		"Close":                     testClose,
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { s.Close() })
			run(t, s)
		})
	}
}

// bounded is a context for things that must not take long.
func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func put(key, value string) store.Op { return store.Op{Key: key, Value: []byte(value)} }

func del(key string) store.Op { return store.Op{Key: key} }

// commit fails the test where the commit fails.
func commit(t testing.TB, s store.Store, ops ...store.Op) store.Revision {
	t.Helper()
	rev, err := s.Commit(bounded(t), ops)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return rev
}

// entry is a record or change in a form that compares and prints well.
type entry struct {
	Key, Value string
	Deleted    bool
	Revision   store.Revision
}

func records(recs []store.Record) []entry {
	out := []entry{}
	for _, r := range recs {
		out = append(out, entry{Key: r.Key, Value: string(r.Value), Revision: r.Modified})
	}
	return out
}

func changes(chs []store.Change) []entry {
	out := []entry{}
	for _, c := range chs {
		out = append(out, entry{Key: c.Key, Value: string(c.Value), Deleted: c.Deleted(), Revision: c.Revision})
	}
	return out
}

func scan(t testing.TB, s store.Store, page store.Page) store.Scan {
	t.Helper()
	got, err := s.Scan(bounded(t), page)
	if err != nil {
		t.Fatalf("scan %+v: %v", page, err)
	}
	return got
}

// collect reads a watch until it has given n changes.
func collect(t testing.TB, w store.Watch, n int) []store.Change {
	t.Helper()
	var out []store.Change
	ctx := bounded(t)
	for len(out) < n {
		got, err := w.Next(ctx)
		if err != nil {
			t.Fatalf("watch after %d of %d changes: %v", len(out), n, err)
		}
		out = append(out, got...)
	}
	if len(out) > n {
		t.Fatalf("watch gave %d changes, want %d", len(out), n)
	}
	return out
}

func watch(t testing.TB, s store.Store, prefix string, after store.Revision) store.Watch {
	t.Helper()
	w, err := s.Watch(context.Background(), prefix, after)
	if err != nil {
		t.Fatalf("watch %q after %d: %v", prefix, after, err)
	}
	t.Cleanup(w.Stop)
	return w
}
