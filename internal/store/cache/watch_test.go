package cache

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
)

const chunkLen = resourceChunk

func TestWatch(t *testing.T) {
	f := newFixture(t, Options{})
	r := f.configMaps()
	live := f.watch(r, 0)
	one := f.create(r, configMap("a", "one", "1"))
	f.create(f.pods(), pod("a", "between", ""))
	one = f.update(r, one, setValue("2"))
	f.delete(r, one)
	f.create(r, configMap("a", "one", "new"))
	all := []string{"ADDED a/one@1", "MODIFIED a/one@3 was 1", "DELETED a/one@4 was 3", "ADDED a/one@5"}
	for after, want := range map[store.Revision][]string{0: all, 1: all[1:], 2: all[1:], 3: all[2:], 4: all[3:]} {
		w := f.watch(r, after)
		if got := w.Position(); got < after || got >= 5 {
			t.Errorf("position of a watch after %d is %d before it was read", after, got)
		}
		if diff := cmp.Diff(want, f.collect(w, len(want))); diff != "" {
			t.Errorf("after %d (-want +got):\n%s", after, diff)
		}
	}
	if diff := cmp.Diff(all, f.collect(live, len(all))); diff != "" {
		t.Errorf("live (-want +got):\n%s", diff)
	}
	f.create(f.pods(), pod("a", "elsewhere", ""))
	if got := live.Position(); got != 6 {
		t.Errorf("position = %d, want 6: nothing happened here since", got)
	}
}

func TestWatchStartsAhead(t *testing.T) {
	f := newFixture(t, Options{})
	r := f.configMaps()
	w := f.watch(r, 3)
	for i := range 5 {
		f.create(r, configMap("a", fmt.Sprint(i), ""))
	}
	if diff := cmp.Diff([]string{"ADDED a/3@4", "ADDED a/4@5"}, f.collect(w, 2)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestWatchScope(t *testing.T) {
	f := newFixture(t, Options{})
	r := f.pods()
	scoped := func(after store.Revision, s Scope) *Watch {
		w, ok, err := r.WatchScope(after, s)
		if err != nil || !ok {
			t.Fatalf("watch of %+v: %v, %v", s, ok, err)
		}
		t.Cleanup(w.Stop)
		return w
	}
	onNode, one := Scope{Field: "spec.nodeName", Value: "n1"}, Scope{Namespace: "x", Name: "a"}
	early := scoped(0, onNode)
	moveTo := func(node string) func(api.Object) {
		return func(o api.Object) { o.(*corev1.Pod).Spec.NodeName = node }
	}
	a := f.create(r, pod("x", "a", ""))
	f.create(r, pod("x", "other", "n2"))
	a = f.update(r, a, moveTo("n1"))
	b := f.create(r, pod("x", "b", "n1"))
	a = f.update(r, a, moveTo("n2"))
	wantNode := []string{"MODIFIED x/a@3 was 1", "ADDED x/b@4", "MODIFIED x/a@5 was 3"}
	wantOne := []string{"ADDED x/a@1", "MODIFIED x/a@3 was 1", "MODIFIED x/a@5 was 3"}
	late, object := scoped(0, onNode), scoped(0, one)
	f.delete(r, b)
	f.delete(r, a)
	wantNode = append(wantNode, "DELETED x/b@6 was 4")
	wantOne = append(wantOne, "DELETED x/a@7 was 5")
	for name, c := range map[string]struct {
		watch *Watch
		want  []string
	}{
		"live, by field": {early, wantNode}, "from the history, by field": {late, wantNode},
		"by name": {object, wantOne}, "from the middle": {scoped(4, one), wantOne[2:]},
	} {
		if diff := cmp.Diff(c.want, f.collect(c.watch, len(c.want))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got := c.watch.Position(); got != 7 {
			t.Errorf("%s: position %d, want 7", name, got)
		}
		c.watch.Stop()
	}
	if len(r.scopes) != 0 {
		t.Errorf("%d scopes are left after their watches stopped", len(r.scopes))
	}
	if _, ok, err := r.WatchScope(0, Scope{Field: "status.phase", Value: "Running"}); ok || err != nil {
		t.Errorf("a scope without an index: %v, %v", ok, err)
	}
}

func TestSlowWatchIsTooOld(t *testing.T) {
	f := newFixture(t, Options{HistoryCount: chunkLen})
	r := f.configMaps()
	slow, quick := f.watch(r, 0), f.watch(r, 0)
	item := f.create(r, configMap("a", "b", ""))
	seen := len(f.collect(quick, 1))
	for i := range 4 * chunkLen {
		item = f.update(r, item, setValue(fmt.Sprint(i)))
		seen += len(f.collect(quick, 1))
	}
	if want := 4*chunkLen + 1; seen != want {
		t.Errorf("the quick watch saw %d events, want %d", seen, want)
	}
	_, err := slow.Next(f.ctx())
	wantError(t, err, store.ErrTooOld)
	_, err = r.Watch(1)
	wantError(t, err, store.ErrTooOld)
	f.watch(r, item.Revision-chunkLen)
}

func TestHistoryBytes(t *testing.T) {
	f := newFixture(t, Options{HistoryBytes: 10 << 10})
	r := f.configMaps()
	item := f.create(r, configMap("a", "b", string(make([]byte, 1024))))
	for i := range 3 * chunkLen {
		item = f.update(r, item, func(o api.Object) { o.SetLabels(map[string]string{"i": fmt.Sprint(i)}) })
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if n := r.all.history.end - r.all.history.first; n > 2*chunkLen {
		t.Errorf("%d events of 1 KiB are kept under a budget of 10 KiB", n)
	}
}

func TestHistoryAgesWithoutEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := history{chunkLen: chunkLen}
		item := &Item{}
		l := limits{count: 1000, bytes: 1 << 20, age: time.Minute}
		for i := range chunkLen + 1 {
			h.add(Event{Item: item, Revision: store.Revision(i + 1)}, time.Now())
		}
		time.Sleep(time.Minute / 2) // virtual time
		h.add(Event{Item: item, Revision: 100}, time.Now())
		time.Sleep(time.Minute / 2)
		h.trim(l, time.Now())
		if _, ok := h.seek(chunkLen - 1); ok {
			t.Error("a chunk that is too old is still there")
		}
		if events, ok := h.read(h.first); !ok || len(events) != 2 {
			t.Errorf("the younger chunk has %d events, %v", len(events), ok)
		}
		time.Sleep(time.Minute)
		h.trim(l, time.Now())
		if cursor, ok := h.seek(100); !ok || cursor != h.end || len(h.chunks) != 0 {
			t.Errorf("an empty history: cursor %d of %d, %v, %d chunks", cursor, h.end, ok, len(h.chunks))
		}
		h.add(Event{Item: item, Revision: 101}, time.Now())
		if events, ok := h.read(chunkLen + 2); !ok || len(events) != 1 || events[0].Revision != 101 {
			t.Errorf("after an empty history: %v, %v", events, ok)
		}
	})
}

func TestWatchEnds(t *testing.T) {
	f := newFixture(t, Options{})
	w := f.watch(f.configMaps(), 0)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { _, err := w.Next(ctx); ended <- err }()
	cancel()
	wantError(t, <-ended, context.Canceled)
	go func() { _, err := w.Next(context.Background()); ended <- err }()
	w.Stop()
	w.Stop()
	wantError(t, <-ended, store.ErrClosed)
}

// TestWatchersSeeTheSame: concurrent writers, and watchers that start while
// they write; each must see every later change once and in order, and what it
// holds then must be what a snapshot shows.
func TestWatchersSeeTheSame(t *testing.T) {
	const writers, each, watchers = 4, 60, 8
	f := newFixture(t, Options{})
	r := f.configMaps()
	var writing, watching sync.WaitGroup
	for n := range writers {
		writing.Go(func() { churn(t, f, r, fmt.Sprint("w", n), each) })
	}
	final := make(chan store.Revision)
	for range watchers {
		watching.Go(func() { followAll(t, f, r, final) })
	}
	writing.Wait()
	end := f.cache.Revision()
	for range watchers {
		final <- end
	}
	watching.Wait()
}

func churn(t *testing.T, f *fixture, r *Resource, name string, n int) {
	ctx := f.ctx()
	var item *Item
	for i := range n {
		var err error
		switch {
		case item == nil:
			item, err = r.Create(ctx, configMap("a", name, fmt.Sprint(i)))
		case i%7 == 6:
			_, err = r.Delete(ctx, item)
			item = nil
		default:
			obj := item.Object.DeepCopyObject().(api.Object)
			setValue(fmt.Sprint(i))(obj)
			item, err = r.Update(ctx, item, obj)
		}
		if err != nil {
			t.Errorf("write %d of %s: %v", i, name, err)
			return
		}
	}
}

// followAll lists, watches from there, and applies events until it has seen
// everything up to the final revision.
func followAll(t *testing.T, f *fixture, r *Resource, final <-chan store.Revision) {
	start := r.Snapshot()
	state := map[string]string{}
	start.Ascend("", "", "", func(i *Item) bool { state[i.Key()] = i.Object.GetResourceVersion(); return true })
	w, err := r.Watch(start.Revision())
	if err != nil {
		t.Errorf("watch: %v", err)
		return
	}
	defer w.Stop()
	end := <-final
	last := start.Revision()
	for w.Position() < end {
		events, err := w.Next(f.ctx())
		if err != nil {
			t.Errorf("watch: %v", err)
			return
		}
		for _, e := range events {
			if e.Revision <= last {
				t.Errorf("revision %d came after %d", e.Revision, last)
			}
			last = e.Revision
			if e.Old != nil && state[e.Old.Key()] != e.Old.Object.GetResourceVersion() {
				t.Errorf("event at %d replaces %s, the watcher had %s", e.Revision, e.Old.Object.GetResourceVersion(), state[e.Old.Key()])
			}
			state[e.Item.Key()] = e.Item.Object.GetResourceVersion()
			if e.Type == Deleted {
				delete(state, e.Item.Key())
			}
		}
	}
	want := map[string]string{}
	r.Snapshot().Ascend("", "", "", func(i *Item) bool { want[i.Key()] = i.Object.GetResourceVersion(); return true })
	if diff := cmp.Diff(want, state); diff != "" {
		t.Errorf("a watcher's state (-want +got):\n%s", diff)
	}
}

func TestWatchesResumeAcrossARestart(t *testing.T) {
	f := newFixture(t, Options{})
	r := f.configMaps()
	one := f.create(r, configMap("a", "one", "1"))
	one = f.update(r, one, setValue("2"))
	f.create(r, configMap("a", "two", ""))
	f.delete(r, one)
	want := f.collect(f.watch(r, 1), 3)
	f.cache.Close()
	f.cache = f.open(Options{})
	if diff := cmp.Diff(want, f.collect(f.watch(f.configMaps(), 1), 3)); diff != "" {
		t.Errorf("the same watch after a restart (-before +after):\n%s", diff)
	}
	f.cache.Close()
	f.cache = f.open(Options{Replay: 1})
	_, err := f.configMaps().Watch(1)
	wantError(t, err, store.ErrTooOld)
	if diff := cmp.Diff([]string{"DELETED a/one@4 was 2"}, f.collect(f.watch(f.configMaps(), 3), 1)); diff != "" {
		t.Errorf("with a short replay (-want +got):\n%s", diff)
	}
}

func TestTwoCachesFollowEachOther(t *testing.T) {
	f := newFixture(t, Options{})
	other := f.open(Options{}).Of(f.kinds.configMaps)
	mine := f.create(f.configMaps(), configMap("a", "mine", "1"))
	if err := other.cache.WaitFor(f.ctx(), mine.Revision); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a/mine@1"}, keys(other.Snapshot())); diff != "" {
		t.Errorf("the other cache (-want +got):\n%s", diff)
	}
}
