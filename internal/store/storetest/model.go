package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/testkit/property"
)

// Model is what a store should hold: every change, in order. Crash tests use
// it too, to say what must still be there.
type Model struct {
	changes []entry
	oldest  store.Revision
}

// Commit applies operations that the store accepted.
func (m *Model) Commit(ops []store.Op) {
	for _, op := range ops {
		m.changes = append(m.changes, entry{
			Key: op.Key, Value: string(op.Value), Deleted: op.Value == nil,
			Revision: store.Revision(len(m.changes) + 1),
		})
	}
}

// Revision is the newest revision.
func (m *Model) Revision() store.Revision { return store.Revision(len(m.changes)) }

// at is the state as of a revision, in order.
func (m *Model) at(rev store.Revision, prefix string) []entry {
	state := map[string]entry{}
	for _, ch := range m.changes[:rev] {
		if ch.Deleted {
			delete(state, ch.Key)
		} else if strings.HasPrefix(ch.Key, prefix) {
			state[ch.Key] = ch
		}
	}
	out := []entry{}
	for _, k := range slices.Sorted(maps.Keys(state)) {
		out = append(out, state[k])
	}
	return out
}

// accepts tells whether the guards of all operations hold now.
func (m *Model) accepts(ops []store.Op) bool {
	for _, op := range ops {
		modified := m.modified(op.Key)
		if !op.Expect.Holds(modified) || op.Value == nil && modified == 0 {
			return false
		}
	}
	return true
}

func (m *Model) modified(key string) store.Revision {
	for i := len(m.changes) - 1; i >= 0; i-- {
		if m.changes[i].Key == key {
			if m.changes[i].Deleted {
				return 0
			}
			return m.changes[i].Revision
		}
	}
	return 0
}

func (m *Model) absent(key string, at store.Revision) bool {
	return !slices.ContainsFunc(m.at(at, key), func(e entry) bool { return e.Key == key })
}

// Check fails where the store does not hold what the model does: newest
// state, history back to oldest, and every change after it.
func (m *Model) Check(t testing.TB, s store.Store) {
	t.Helper()
	if s.Revision() != m.Revision() {
		t.Fatalf("revision %d, want %d", s.Revision(), m.Revision())
	}
	for rev := max(m.oldest, s.Oldest()); rev <= m.Revision(); rev++ {
		if rev == 0 {
			continue
		}
		if diff := cmp.Diff(m.at(rev, ""), records(scan(t, s, store.Page{At: rev}).Records)); diff != "" {
			t.Fatalf("state at %d (-want +got):\n%s", rev, diff)
		}
	}
	oldest := max(m.oldest, s.Oldest())
	want := m.changes[oldest:]
	if len(want) == 0 {
		return
	}
	if diff := cmp.Diff(want, changes(collect(t, watch(t, s, "", oldest), len(want)))); diff != "" {
		t.Fatalf("changes after %d (-want +got):\n%s", oldest, diff)
	}
}

// machine drives a store and the model side by side.
type machine struct {
	t       testing.TB
	s       store.Store
	model   Model
	watches []modelWatch
}

type modelWatch struct {
	watch  store.Watch
	prefix string
	read   store.Revision
}

// RunModel holds an engine against a model with random histories.
func RunModel(t *testing.T, open Open) {
	property.Check(t, func(rt *rapid.T) {
		s := open(t)
		defer s.Close()
		m := &machine{t: t, s: s}
		rt.Repeat(map[string]func(*rapid.T){
			"commit":  m.commit,
			"scan":    m.scan,
			"get":     m.get,
			"watch":   m.watch,
			"read":    m.read,
			"compact": m.compact,
		})
		m.model.oldest = s.Oldest()
		m.model.Check(t, s)
	})
}

func modelKeys() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"/a", "/a/b", "/a/c", "/a-b", "/b", "/b/\xff", "/c"})
}

func (m *machine) commit(rt *rapid.T) {
	keys := rapid.SliceOfNDistinct(modelKeys(), 1, 4, rapid.ID[string]).Draw(rt, "keys")
	ops := make([]store.Op, 0, len(keys))
	for _, key := range keys {
		ops = append(ops, m.drawOp(rt, key))
	}
	accepted := m.model.accepts(ops)
	rev, err := m.s.Commit(bounded(m.t), ops)
	switch {
	case accepted && err != nil:
		rt.Fatalf("commit %+v refused: %v", ops, err)
	case !accepted && !errors.Is(err, store.ErrConflict):
		rt.Fatalf("commit %+v: error %v, want a conflict", ops, err)
	case accepted:
		m.model.Commit(ops)
		if rev != m.model.Revision() {
			rt.Fatalf("commit gave revision %d, want %d", rev, m.model.Revision())
		}
	}
}

func (m *machine) drawOp(rt *rapid.T, key string) store.Op {
	op := store.Op{Key: key}
	if rapid.IntRange(0, 3).Draw(rt, "kind") > 0 {
		op.Value = []byte(rapid.StringN(0, 8, 32).Draw(rt, "value"))
	}
	switch rapid.IntRange(0, 6).Draw(rt, "guard") {
	case 0:
		op.Expect = store.Absent()
	case 1:
		op.Expect = store.ModifiedAt(store.Revision(rapid.Uint64Range(0, uint64(m.model.Revision())+1).Draw(rt, "at")))
	case 2:
		op.Expect = store.ModifiedAt(m.model.modified(key))
	case 3:
		if at := store.Revision(rapid.Uint64Range(0, uint64(m.model.Revision())).Draw(rt, "absent")); m.model.absent(key, at) {
			op.Expect = store.AbsentAt(at)
		}
	}
	return op
}

func (m *machine) scan(rt *rapid.T) {
	at := store.Revision(rapid.Uint64Range(0, uint64(m.model.Revision())+1).Draw(rt, "at"))
	prefix := rapid.SampledFrom([]string{"", "/", "/a", "/a/", "/b"}).Draw(rt, "prefix")
	page := store.Page{Prefix: prefix, At: at, Limit: rapid.IntRange(0, 5).Draw(rt, "limit")}
	if rapid.Bool().Draw(rt, "continue") {
		page.After = modelKeys().Draw(rt, "after")
	}
	got, err := m.s.Scan(bounded(m.t), page)
	switch {
	case at > m.model.Revision():
		m.wantError(rt, err, store.ErrFuture)
		return
	case at != 0 && at < m.model.oldest:
		m.wantError(rt, err, store.ErrTooOld)
		return
	case err != nil:
		rt.Fatalf("scan %+v: %v", page, err)
	case at == 0:
		at = m.model.Revision()
	}
	want := slices.DeleteFunc(m.model.at(at, prefix), func(e entry) bool { return e.Key <= page.After })
	more := page.Limit > 0 && len(want) > page.Limit
	if more {
		want = want[:page.Limit]
	}
	if diff := cmp.Diff(want, records(got.Records)); diff != "" || got.More != more || got.Revision != at {
		rt.Fatalf("scan %+v: more %v, revision %d (-want +got):\n%s", page, got.More, got.Revision, diff)
	}
}

func (m *machine) wantError(rt *rapid.T, err, want error) {
	if !errors.Is(err, want) {
		rt.Fatalf("error %v, want %v", err, want)
	}
}

func (m *machine) get(rt *rapid.T) {
	key := modelKeys().Draw(rt, "key")
	rec, ok, err := m.s.Get(bounded(m.t), key)
	if err != nil {
		rt.Fatalf("get: %v", err)
	}
	want := m.model.modified(key)
	if ok != (want != 0) || rec.Modified != want || ok && string(rec.Value) != m.model.changes[want-1].Value {
		rt.Fatalf("get %s = %+v, %v; want modified at %d", key, rec, ok, want)
	}
}

func (m *machine) watch(rt *rapid.T) {
	after := store.Revision(rapid.Uint64Range(0, uint64(m.model.Revision())).Draw(rt, "after"))
	prefix := rapid.SampledFrom([]string{"", "/a", "/a/"}).Draw(rt, "prefix")
	w, err := m.s.Watch(bounded(m.t), prefix, after)
	if after < m.model.oldest {
		m.wantError(rt, err, store.ErrTooOld)
		return
	}
	if err != nil {
		rt.Fatalf("watch after %d: %v", after, err)
	}
	m.watches = append(m.watches, modelWatch{watch: w, prefix: prefix, read: after})
}

// read drains one watch and compares what it gave since it was last read.
func (m *machine) read(rt *rapid.T) {
	if len(m.watches) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.watches)-1).Draw(rt, "watch")
	w := &m.watches[i]
	want := slices.DeleteFunc(slices.Clone(m.model.changes[w.read:]), func(e entry) bool { return !strings.HasPrefix(e.Key, w.prefix) })
	var got []entry
	for len(got) < len(want) {
		some, err := w.watch.Next(bounded(m.t))
		if errors.Is(err, store.ErrTooOld) && w.read < m.model.oldest {
			w.watch.Stop()
			m.watches = slices.Delete(m.watches, i, i+1)
			return
		}
		if err != nil {
			rt.Fatalf("watch: %v", err)
		}
		got = append(got, changes(some)...)
	}
	w.read = m.model.Revision()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		rt.Fatalf("watch of %q: (-want +got)\n%s", w.prefix, cmp.Diff(want, got))
	}
}

func (m *machine) compact(rt *rapid.T) {
	rev := store.Revision(rapid.Uint64Range(0, uint64(m.model.Revision())).Draw(rt, "rev"))
	if err := m.s.Compact(bounded(m.t), rev); err != nil {
		rt.Fatalf("compact: %v", err)
	}
	m.model.oldest = max(m.model.oldest, rev)
}
