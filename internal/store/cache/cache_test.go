package cache

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
)

func TestWritesAreVisibleWhenTheyReturn(t *testing.T) {
	f := newFixture(t, Options{})
	r := f.configMaps()
	one := f.create(r, configMap("default", "one", "1"))
	if got, ok := r.Get("default", "one"); !ok || got != one {
		t.Fatalf("Get after Create = %v, %v; want the created item", got, ok)
	}
	if rv, kind := one.Object.GetResourceVersion(), one.Object.GetObjectKind().GroupVersionKind(); rv != "1" || kind != f.kinds.configMaps.GVK {
		t.Errorf("created object has resourceVersion %q and kind %s", rv, kind)
	}
	two := f.update(r, one, setValue("2"))
	if diff := cmp.Diff([]string{"default/one@2"}, keys(r.Snapshot())); diff != "" {
		t.Errorf("after Update (-want +got):\n%s", diff)
	}
	gone := f.delete(r, two)
	if gone.Revision != 3 || gone.Object.GetResourceVersion() != "3" || two.Object.GetResourceVersion() != "2" {
		t.Errorf("the deletion is item %d with resourceVersion %s; the last state has %s", gone.Revision, gone.Object.GetResourceVersion(), two.Object.GetResourceVersion())
	}
	if got := gone.Object.(*corev1.ConfigMap).Data["value"]; got != "2" {
		t.Errorf("the deletion carries value %q, want the last state's", got)
	}
	if r.Snapshot().Len() != 0 || r.Snapshot().Revision() != 3 {
		t.Errorf("after Delete: %d objects at %d", r.Snapshot().Len(), r.Snapshot().Revision())
	}
}

func TestWritesAreObserved(t *testing.T) {
	var seen []string
	f := newFixture(t, Options{Observe: func(k *api.Kind, operation string, _ time.Duration, err error) {
		seen = append(seen, fmt.Sprint(operation, " ", k.Resource, " ", err != nil))
	}})
	r := f.configMaps()
	one := f.create(r, configMap("default", "one", "1"))
	if _, err := r.Create(t.Context(), configMap("default", "one", "1")); err == nil {
		t.Error("an object was created twice")
	}
	f.delete(r, f.update(r, one, setValue("2")))
	want := []string{"create configmaps false", "create configmaps true", "update configmaps false", "delete configmaps false"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestConflicts(t *testing.T) {
	f := newFixture(t, Options{})
	r := f.configMaps()
	old := f.create(r, configMap("default", "one", "1"))
	_, err := r.Create(f.ctx(), configMap("default", "one", "other"))
	wantError(t, err, store.ErrConflict)
	newer := f.update(r, old, setValue("2"))
	_, err = r.Update(f.ctx(), old, configMap("default", "one", "3"))
	wantError(t, err, store.ErrConflict)
	_, err = r.Delete(f.ctx(), old)
	wantError(t, err, store.ErrConflict)
	if got, _ := r.Get("default", "one"); got != newer {
		t.Error("a refused write changed the object")
	}
	f.delete(r, newer)
	_, err = r.Update(f.ctx(), newer, configMap("default", "one", "3"))
	wantError(t, err, store.ErrConflict)
}

// After a conflict the next look shows more than the one before: a loser that
// tries a few times gets its turn.
func TestConflictsShowWhatWon(t *testing.T) {
	f := newFixture(t, Options{})
	r := f.configMaps()
	f.create(r, configMap("default", "one", "0"))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				old, _ := r.Get("default", "one")
				_, err := r.Update(f.ctx(), old, configMap("default", "one", "x"))
				if err == nil {
					continue
				}
				if now, _ := r.Get("default", "one"); now.Revision <= old.Revision {
					t.Errorf("lost against a write that is not to be seen: %v at revision %d", err, now.Revision)
				}
			}
		})
	}
	all.Wait()
}

func TestNamesThatCannotBeStored(t *testing.T) {
	f := newFixture(t, Options{})
	for name, obj := range map[string]api.Object{
		"no name":      configMap("default", "", "1"),
		"no namespace": configMap("", "one", "1"),
		"slash":        configMap("default", "a/b", "1"),
		"zero byte":    configMap("default", "a\x00b", "1"),
	} {
		if _, err := f.configMaps().Create(f.ctx(), obj); err == nil {
			t.Errorf("%s: was stored", name)
		}
	}
	if _, err := f.cache.Of(f.kinds.nodes).Create(f.ctx(), configMap("default", "x", "")); err == nil {
		t.Error("a cluster-scoped kind took a namespace")
	}
}

func TestSnapshotOrderAndPages(t *testing.T) {
	f := newFixture(t, Options{})
	r := f.configMaps()
	// The order is by bytes of "namespace/name", as in upstream's storage.
	for _, key := range [][2]string{{"a", "y"}, {"a-b", "x"}, {"b", "z"}, {"a", "x"}, {"a", "x-1"}} {
		f.create(r, configMap(key[0], key[1], ""))
	}
	s := r.Snapshot()
	if diff := cmp.Diff([]string{"a-b/x@2", "a/x@4", "a/x-1@5", "a/y@1", "b/z@3"}, keys(s)); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	list := func(namespace, afterNamespace, afterName string, limit int) []string {
		out := []string{}
		s.Ascend(namespace, afterNamespace, afterName, func(i *Item) bool {
			out = append(out, i.Key())
			return len(out) < limit
		})
		return out
	}
	for name, c := range map[string]struct{ got, want []string }{
		"one namespace":          {list("a", "", "", 9), []string{"a/x", "a/x-1", "a/y"}},
		"behind an object":       {list("a", "a", "x", 9), []string{"a/x-1", "a/y"}},
		"behind a missing one":   {list("a", "a", "x-0", 9), []string{"a/x-1", "a/y"}},
		"limit":                  {list("", "", "", 2), []string{"a-b/x", "a/x"}},
		"page over namespaces":   {list("", "a", "x-1", 9), []string{"a/y", "b/z"}},
		"after the namespace":    {list("a", "b", "z", 9), []string{}},
		"empty namespace":        {list("none", "", "", 9), []string{}},
		"a prefix of a namepace": {list("a-", "", "", 9), []string{}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	f.create(r, configMap("a", "later", ""))
	if s.Len() != 5 || r.Snapshot().Len() != 6 {
		t.Errorf("the old snapshot has %d objects, the new one %d", s.Len(), r.Snapshot().Len())
	}
	if _, ok := s.Get("a", "later"); ok {
		t.Error("an old snapshot shows a later object")
	}
}

func TestIndex(t *testing.T) {
	f := newFixture(t, Options{})
	r := f.pods()
	a := f.create(r, pod("x", "a", ""))
	b := f.create(r, pod("x", "b", "n1"))
	f.create(r, pod("y", "c", "n10"))
	on := func(s Snapshot, node string) []string {
		out := []string{}
		if !s.ByField("spec.nodeName", node, func(i *Item) bool {
			out = append(out, i.Key())
			return true
		}) {
			t.Error("spec.nodeName is not indexed")
		}
		return out
	}
	before := r.Snapshot()
	f.update(r, a, func(o api.Object) { o.(*corev1.Pod).Spec.NodeName = "n1" })
	f.delete(r, b)
	for name, c := range map[string]struct{ got, want []string }{
		"before, n1":   {on(before, "n1"), []string{"x/b"}},
		"before, none": {on(before, ""), []string{"x/a"}},
		"after, n1":    {on(r.Snapshot(), "n1"), []string{"x/a"}},
		"after, none":  {on(r.Snapshot(), ""), []string{}},
		"after, n10":   {on(r.Snapshot(), "n10"), []string{"y/c"}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if r.Snapshot().ByField("status.phase", "Running", nil) {
		t.Error("a field without an index claims to have one")
	}
}

func TestAt(t *testing.T) {
	for name, options := range map[string]Options{
		"from memory":            {},
		"from the store's files": {HistoryCount: 1, HistoryBytes: 1, HistoryAge: 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, options)
			r := f.pods()
			want := map[store.Revision][]string{}
			note := func() { want[f.cache.Revision()] = keys(r.Snapshot()) }
			item := f.create(r, pod("x", "a", "n1"))
			note()
			for i := range 150 {
				item = f.update(r, item, func(o api.Object) { o.(*corev1.Pod).Spec.NodeName = fmt.Sprint("n", i%3) })
				note()
			}
			f.create(r, pod("x", "b", "n1"))
			note()
			f.delete(r, item)
			note()
			f.create(r, pod("x", "a", "n2"))
			note()
			for rev, state := range want {
				s, err := r.At(f.ctx(), rev)
				if err != nil {
					t.Fatalf("At(%d): %v", rev, err)
				}
				if diff := cmp.Diff(state, keys(s)); diff != "" || s.Revision() != rev {
					t.Errorf("at %d, revision %d (-want +got):\n%s", rev, s.Revision(), diff)
				}
				checkIndex(t, s)
			}
			_, err := r.At(f.ctx(), f.cache.Revision()+1)
			wantError(t, err, store.ErrFuture)
		})
	}
}

// checkIndex fails where the index and the objects say different things.
func checkIndex(t *testing.T, s Snapshot) {
	t.Helper()
	indexed := 0
	for _, node := range []string{"", "n0", "n1", "n2"} {
		s.ByField("spec.nodeName", node, func(i *Item) bool {
			indexed++
			if have, ok := s.Get(i.Object.GetNamespace(), i.Object.GetName()); !ok || have != i || i.Object.(*corev1.Pod).Spec.NodeName != node {
				t.Errorf("at %d the index of %q has %s", s.Revision(), node, i.Key())
			}
			return true
		})
	}
	if indexed != s.Len() {
		t.Errorf("at %d: %d objects, %d in the index", s.Revision(), s.Len(), indexed)
	}
}

func TestAtTooOld(t *testing.T) {
	f := newFixture(t, Options{HistoryCount: 1, HistoryAge: 1})
	f.create(f.configMaps(), configMap("a", "b", "1"))
	item := f.create(f.configMaps(), configMap("a", "c", "1"))
	f.update(f.configMaps(), item, setValue("2"))
	if err := f.store.Compact(f.ctx(), 3); err != nil {
		t.Fatal(err)
	}
	_, err := f.configMaps().At(f.ctx(), 1)
	wantError(t, err, store.ErrTooOld)
}

// A state that was asked for again and again goes with its revision, too.
func TestAtEndsWithTheCompaction(t *testing.T) {
	f := newFixture(t, Options{})
	r := f.configMaps()
	f.update(r, f.create(r, configMap("a", "b", "1")), setValue("2"))
	if _, err := r.At(f.ctx(), 1); err != nil {
		t.Fatal(err)
	}
	if err := f.store.Compact(f.ctx(), 2); err != nil {
		t.Fatal(err)
	}
	_, err := r.At(f.ctx(), 1)
	wantError(t, err, store.ErrTooOld)
	if _, err := r.At(f.ctx(), 2); err != nil {
		t.Errorf("the oldest state that is kept: %v", err)
	}
}

func TestKindsAsStored(t *testing.T) {
	f := newFixture(t, Options{})
	widget := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "w", "namespace": "x"},
		"spec":     map[string]any{"size": int64(3), "tags": []any{"a"}},
	}}
	f.create(f.cache.Of(f.kinds.widgets), widget)
	f.create(f.cache.Of(f.kinds.nodes), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	for key, prefix := range map[string]string{"/example.com/widgets/x/w": "{", "/core/nodes/n": "k8s\x00"} {
		rec, ok, err := f.store.Get(f.ctx(), key)
		if err != nil || !ok || string(rec.Value[:len(prefix)]) != prefix {
			t.Errorf("%s is stored as %.20q, %v, %v", key, rec.Value, ok, err)
		}
	}
	other := f.open(Options{Replay: -1})
	for _, k := range []*api.Kind{f.kinds.widgets, f.kinds.nodes} {
		var want, got []api.Object
		f.cache.Of(k).Snapshot().Ascend("", "", "", func(i *Item) bool { want = append(want, i.Object); return true })
		other.Of(k).Snapshot().Ascend("", "", "", func(i *Item) bool { got = append(got, i.Object); return true })
		if diff := cmp.Diff(want, got); diff != "" || len(got) != 1 {
			t.Errorf("%s read back (-want +got):\n%s", k.Resource, diff)
		}
	}
	gone := f.delete(f.cache.Of(f.kinds.widgets), first(f.cache.Of(f.kinds.widgets).Snapshot()))
	if widget.GetResourceVersion() != "1" || gone.Object.GetResourceVersion() != "3" {
		t.Errorf("deletion has resourceVersion %s, the object %s", gone.Object.GetResourceVersion(), widget.GetResourceVersion())
	}
}

func first(s Snapshot) (item *Item) {
	s.Ascend("", "", "", func(i *Item) bool { item = i; return false })
	return item
}

func TestForeignAndBrokenKeysAreLeftAlone(t *testing.T) {
	f := newFixture(t, Options{})
	for _, key := range []string{"/core/unknown/a/b", "/odd", "odd", "//", "/core/configmaps"} {
		if _, err := f.store.Commit(f.ctx(), []store.Op{{Key: key, Value: []byte("?")}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.store.Commit(f.ctx(), []store.Op{{Key: "/core/configmaps/a/broken", Value: []byte("k8s\x00rubbish")}}); err != nil {
		t.Fatal(err)
	}
	f.create(f.configMaps(), configMap("a", "whole", ""))
	if _, err := f.store.Commit(f.ctx(), []store.Op{{Key: "/core/configmaps/a/broken"}}); err != nil {
		t.Fatal(err)
	}
	f.create(f.configMaps(), configMap("a", "later", ""))
	for name, c := range map[string]*Cache{"followed": f.cache, "loaded": f.open(Options{Replay: -1})} {
		if diff := cmp.Diff([]string{"a/later@9", "a/whole@7"}, keys(c.Of(f.kinds.configMaps).Snapshot())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestExpiry(t *testing.T) {
	f := newFixture(t, Options{})
	r := f.cache.Of(f.kinds.events)
	w := f.watch(r, 0)
	f.create(r, &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "e"}, Message: "hello"})
	if diff := cmp.Diff([]string{"ADDED x/e@1", "DELETED x/e@2 was 1"}, f.collect(w, 2)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if r.Snapshot().Len() != 0 {
		t.Error("an expired object is still there")
	}
}

func TestMutationsAreFound(t *testing.T) {
	var found []string
	f := newFixture(t, Options{Mutated: func(key string) { found = append(found, key) }})
	item := f.create(f.configMaps(), configMap("a", "changed", "1"))
	f.create(f.configMaps(), configMap("a", "whole", "1"))
	item.Object.(*corev1.ConfigMap).Data["value"] = "changed in place"
	f.cache.Close()
	if diff := cmp.Diff([]string{"/core/configmaps/a/changed"}, found); diff != "" {
		t.Errorf("reported (-want +got):\n%s", diff)
	}
}

func TestClosed(t *testing.T) {
	f := newFixture(t, Options{})
	w := f.watch(f.configMaps(), 0)
	f.cache.Close()
	_, err := w.Next(f.ctx())
	wantError(t, err, store.ErrClosed)
	_, err = f.configMaps().Watch(0)
	wantError(t, err, store.ErrClosed)
	wantError(t, f.cache.WaitFor(context.Background(), 99), store.ErrClosed)
}
