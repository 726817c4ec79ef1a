package disk

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/testkit/property"
)

// stored are all versions in the data table.
func stored(t *rapid.T, e *engine) map[string][]store.Revision {
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableData}, UpperBound: []byte{tableData + 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	out := map[string][]store.Revision{}
	for ok := it.First(); ok; ok = it.Next() {
		key, rev, err := splitVersion(it.Key())
		if err != nil {
			t.Fatal(err)
		}
		out[string(key)] = append(out[string(key)], rev)
	}
	return out
}

// Whatever was written, with and without guards, remembered by the writer or
// forgotten: compaction leaves the versions that states from then on show.
func TestCompactionLeavesWhatIsSeen(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		opened, err := Open(t.Context(), Options{InMemory: true, Keep: -1, KeepChanges: -1, heads: rapid.IntRange(1, 4).Draw(t, "heads")})
		if err != nil {
			t.Fatal(err)
		}
		e := opened.(*engine)
		defer e.Close()
		newest := map[string]store.Revision{} // zero: deleted
		history := map[string][]store.Revision{}
		deletions := map[store.Revision]bool{}
		for range rapid.IntRange(1, 40).Draw(t, "writes") {
			op := store.Op{Key: fmt.Sprint("/k/", rapid.IntRange(0, 5).Draw(t, "key")), Value: []byte("v")}
			if rapid.Bool().Draw(t, "delete") && newest[op.Key] > 0 {
				op.Value = nil
			}
			if rapid.Bool().Draw(t, "guarded") {
				op.Expect = store.Absent()
				if rapid.Bool().Draw(t, "known") {
					op.Expect = store.AbsentAt(e.gate.Revision())
				}
				if at := newest[op.Key]; at > 0 {
					op.Expect = store.ModifiedAt(at)
				}
			}
			rev, err := e.Commit(t.Context(), []store.Op{op})
			if err != nil {
				t.Fatal(err)
			}
			history[op.Key] = append([]store.Revision{rev}, history[op.Key]...)
			newest[op.Key] = rev
			if op.Value == nil {
				newest[op.Key], deletions[rev] = 0, true
			}
		}
		at := rapid.Uint64Range(1, uint64(e.gate.Revision())).Draw(t, "compacted to")
		if err := e.Compact(t.Context(), store.Revision(at)); err != nil {
			t.Fatal(err)
		}
		want := map[string][]store.Revision{}
		for key, revs := range history {
			for _, rev := range revs {
				if rev > store.Revision(at) || !deletions[rev] {
					want[key] = append(want[key], rev)
				}
				if rev <= store.Revision(at) {
					break
				}
			}
		}
		if diff := cmp.Diff(want, stored(t, e)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestEntry(t *testing.T) {
	for _, e := range []entry{
		{key: "/a"}, {key: "/a", deleted: true}, {key: "/a", follows: previous{0, true}}, {key: "/a", deleted: true, follows: previous{1 << 40, true}},
	} {
		flag := byte(flagExpiring)
		if e.deleted {
			flag = flagDeleted
		}
		if got, err := decodeEntry(e.encode(flag)); err != nil || got != e {
			t.Errorf("%+v comes back as %+v, %v", e, got, err)
		}
	}
	for _, broken := range [][]byte{nil, {flagValue}, {flagValue | flagFollows, 0, 0, 0, 0, 0, 0, 0, 1}} {
		if e, err := decodeEntry(broken); err == nil {
			t.Errorf("%x is read as %+v", broken, e)
		}
	}
}

func TestOlderFormatIsTakenOver(t *testing.T) {
	fs := vfs.NewMem()
	e := openTest(t, Options{Dir: "store", FS: fs})
	if err := e.db.Set(metaKey(metaFormat), binary.BigEndian.AppendUint64(nil, 1), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	e.Close()
	if got, err := openTest(t, Options{Dir: "store", FS: fs}).readNumber(metaFormat); err != nil || got != formatVersion {
		t.Errorf("format %d, %v; want %d: an older Knarr must not read what is written now", got, err, formatVersion)
	}
}
