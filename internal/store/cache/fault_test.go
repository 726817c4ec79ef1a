package cache

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/disk"
)

// faultyStore is a real store that loses notes and watches on demand, as an
// engine does whose changes come from elsewhere.
type faultyStore struct {
	store.Store
	loseNotes atomic.Bool
	tooOld    atomic.Bool // the next Next of a watch says so
	broken    atomic.Bool // every Next of a watch fails
	compact   atomic.Bool // the next watch finds its history compacted
}

func (s *faultyStore) Commit(ctx context.Context, ops []store.Op) (store.Revision, error) {
	if s.loseNotes.Load() {
		for i := range ops {
			ops[i].Note = nil
		}
	}
	return s.Store.Commit(ctx, ops)
}

func (s *faultyStore) Watch(ctx context.Context, prefix string, after store.Revision) (store.Watch, error) {
	if s.compact.Swap(false) {
		if err := s.Store.Compact(ctx, s.Store.Revision()); err != nil {
			return nil, err
		}
	}
	w, err := s.Store.Watch(ctx, prefix, after)
	if err != nil {
		return nil, err
	}
	return &faultyWatch{Watch: w, store: s}, nil
}

type faultyWatch struct {
	store.Watch
	store *faultyStore
}

func (w *faultyWatch) Next(ctx context.Context) ([]store.Change, error) {
	changes, err := w.Watch.Next(ctx)
	if w.store.tooOld.Swap(false) {
		return nil, store.ErrTooOld
	}
	if w.store.broken.Load() {
		return nil, errBroken
	}
	return changes, err
}

var errBroken = errors.New("the disk is broken")

func newFaulty(t *testing.T) (*fixture, *faultyStore) {
	st, err := disk.Open(t.Context(), disk.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	faulty := &faultyStore{Store: st}
	f := &fixture{TB: t, store: faulty, kinds: newTestKinds()}
	f.cache = f.open(Options{})
	return f, faulty
}

func TestWritesWithoutNotes(t *testing.T) {
	f, faulty := newFaulty(t)
	faulty.loseNotes.Store(true)
	r := f.configMaps()
	w := f.watch(r, 0)
	item := f.create(r, configMap("a", "b", "1"))
	item = f.update(r, item, setValue("2"))
	if got := item.Object.GetResourceVersion(); got != "2" {
		t.Errorf("the returned object has resourceVersion %s, want 2", got)
	}
	if diff := cmp.Diff([]string{"a/b@2"}, keys(r.Snapshot())); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	item = f.update(r, item, setValue("3")) // on an item that is not the cache's own
	if gone := f.delete(r, item); gone.Object.GetResourceVersion() != "4" {
		t.Errorf("the deletion has resourceVersion %s, want 4", gone.Object.GetResourceVersion())
	}
	want := []string{"ADDED a/b@1", "MODIFIED a/b@2 was 1", "MODIFIED a/b@3 was 2", "DELETED a/b@4 was 3"}
	if diff := cmp.Diff(want, f.collect(w, len(want))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestFollowerThatFellBehind: the cache loads everything again; watches of
// before end with ErrTooOld, and writes go on.
func TestFollowerThatFellBehind(t *testing.T) {
	f, faulty := newFaulty(t)
	r := f.configMaps()
	item := f.create(r, configMap("a", "stays", "1"))
	gone := f.create(r, configMap("a", "goes", "1"))
	f.delete(r, gone)
	w := f.watch(r, 0)
	scoped, _, err := r.WatchScope(0, Scope{Namespace: "a", Name: "stays"})
	if err != nil {
		t.Fatal(err)
	}
	defer scoped.Stop()
	faulty.tooOld.Store(true)
	item = f.update(r, item, setValue("2"))
	if diff := cmp.Diff([]string{"a/stays@4"}, keys(r.Snapshot())); diff != "" {
		t.Errorf("after loading again (-want +got):\n%s", diff)
	}
	for name, old := range map[string]*Watch{"everything": w, "one object": scoped} {
		if _, err := old.Next(f.ctx()); err == nil {
			t.Errorf("a watch of %s from before goes on although events were missed", name)
		} else {
			wantError(t, err, store.ErrTooOld)
		}
	}
	if _, err := r.Watch(1); err == nil {
		t.Error("a watch begins before the reload")
	}
	later := f.watch(r, item.Revision)
	f.update(r, item, setValue("3"))
	if diff := cmp.Diff([]string{"MODIFIED a/stays@5 was 4"}, f.collect(later, 1)); diff != "" {
		t.Errorf("after the reload (-want +got):\n%s", diff)
	}
}

// TestFollowerThatCannotGoOn: who opened the cache learns it, and writers learn
// why they do not.
func TestFollowerThatCannotGoOn(t *testing.T) {
	f, faulty := newFaulty(t)
	told := make(chan error, 2)
	f.cache = f.open(Options{OnFailure: func(err error) { told <- err }})
	r := f.configMaps()
	f.create(r, configMap("a", "b", "1"))
	faulty.broken.Store(true)
	_, err := r.Create(f.ctx(), configMap("a", "c", "1"))
	wantError(t, err, errBroken)
	wantError(t, <-told, errBroken)
	if diff := cmp.Diff([]string{"a/b@1"}, keys(r.Snapshot())); diff != "" {
		t.Errorf("reads go on (-want +got):\n%s", diff)
	}
	if _, err := Open(f.ctx(), faulty, f.kinds.all(), Options{}); !errors.Is(err, errBroken) {
		t.Errorf("opened again: %v, want why that fails", err)
	}
	f.cache.Close()
	if len(told) > 0 {
		t.Error("it was told twice")
	}
}

// TestCompactionWhileItStarts: the history goes between the cache's scan and
// its watch, as the janitor of a store that was long closed may do.
func TestCompactionWhileItStarts(t *testing.T) {
	f, faulty := newFaulty(t)
	r := f.configMaps()
	item := f.create(r, configMap("a", "b", "1"))
	for range 5 {
		item = f.update(r, item, setValue("again"))
	}
	faulty.compact.Store(true)
	f.cache = f.open(Options{Replay: 3})
	if diff := cmp.Diff([]string{"a/b@6"}, keys(f.configMaps().Snapshot())); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	f.update(f.configMaps(), item, setValue("2"))
}

func TestViewsShareTheirKindsObjects(t *testing.T) {
	f := newFixture(t, Options{})
	view := *f.kinds.events
	view.GVK.Group, view.View = "events.k8s.io", &api.View{Of: f.kinds.events}
	if f.cache.Of(&view) != f.cache.Of(f.kinds.events) {
		t.Error("a view has a resource of its own")
	}
	if f.cache.Of(&api.Kind{}) != nil {
		t.Error("an unknown kind has a resource")
	}
}

func TestTwoKindsInOnePlace(t *testing.T) {
	kinds := newTestKinds()
	again := newTestKinds().pods
	f := newFixture(t, Options{})
	if _, err := Open(t.Context(), f.store, []*api.Kind{kinds.pods, again}, Options{}); err == nil {
		t.Error("two kinds with the same keys were accepted")
	}
}

// TestDurable goes through a real directory: write, close all, open, go on.
func TestDurable(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for round := range 3 {
		st, err := disk.Open(t.Context(), disk.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		f := &fixture{TB: t, store: st, kinds: newTestKinds()}
		f.cache = f.open(Options{})
		if round > 0 {
			if diff := cmp.Diff(want, keys(f.configMaps().Snapshot())); diff != "" {
				t.Errorf("round %d (-before +after):\n%s", round, diff)
			}
			f.delete(f.configMaps(), first(f.configMaps().Snapshot()))
		}
		for i := range 50 {
			f.create(f.configMaps(), configMap("a", fmt.Sprintf("%d-%02d", round, i), ""))
		}
		want = keys(f.configMaps().Snapshot())
		f.cache.Close()
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What the cache could not read is there all the same: nothing new takes its
// place.
func TestWhatCannotBeReadIsNotWrittenOver(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		st, err := disk.Open(t.Context(), disk.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		f := &fixture{TB: t, store: st, kinds: newTestKinds()}
		if round == 0 {
			if _, err := st.Commit(f.ctx(), []store.Op{{Key: "/core/configmaps/a/broken", Value: []byte("k8s\x00rubbish")}}); err != nil {
				t.Fatal(err)
			}
		} else {
			f.cache = f.open(Options{})
			_, err := f.configMaps().Create(f.ctx(), configMap("a", "broken", ""))
			wantError(t, err, store.ErrConflict)
			f.cache.Close()
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
