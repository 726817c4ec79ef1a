package cache

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
)

// gadget is a kind of a custom resource that marks what it reads.
func gadget(mark string) *api.Kind {
	k := api.Spec[*unstructured.Unstructured]{
		Group: "example.com", Version: "v1", Name: "Gadget", Resource: "gadgets", Namespaced: true,
		New: func() *unstructured.Unstructured { return &unstructured.Unstructured{} },
	}.Kind()
	k.Custom = &api.Custom{
		Restore: func(obj api.Object) error {
			obj.(*unstructured.Unstructured).Object["mark"] = mark
			return nil
		},
		Compact: func(api.Object) {},
	}
	return k
}

func newGadget(name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": map[string]any{"namespace": "n", "name": name},
	}}
}

func markOf(r *Resource, name string) any {
	item, found := r.Get("n", name)
	if !found {
		return nil
	}
	return item.Object.(*unstructured.Unstructured).Object["mark"]
}

func TestPutReplacesAKind(t *testing.T) {
	f := newFixture(t, Options{})
	first, second := gadget("first"), gadget("second")
	if err := f.cache.Put(f.ctx(), first); err != nil {
		t.Fatal(err)
	}
	old := f.cache.Of(first)
	f.create(old, newGadget("a"))
	w := f.watch(old, 0)
	if err := f.cache.Put(f.ctx(), second); err != nil {
		t.Fatal(err)
	}
	if got := markOf(f.cache.Of(second), "a"); got != "second" {
		t.Errorf("the object is as of %v", got)
	}
	if got := markOf(old, "a"); got != "second" {
		t.Errorf("who holds the old resource reads %v", got)
	}
	f.collect(w, 1)
	_, err := w.Next(f.ctx())
	wantError(t, err, store.ErrClosed)
	f.cache.Remove(second)
	if _, found := old.Get("n", "a"); found || f.cache.Of(second) != nil {
		t.Error("a removed kind is still found")
	}
}

func TestPutMissesNoWrite(t *testing.T) {
	f := newFixture(t, Options{})
	kind := gadget("0")
	if err := f.cache.Put(f.ctx(), kind); err != nil {
		t.Fatal(err)
	}
	const writes = 200
	r := f.cache.Of(kind)
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := range writes {
			f.create(r, newGadget(fmt.Sprint(i)))
		}
	})
	for i := 1; i <= 10; i++ {
		kind = gadget(fmt.Sprint(i))
		if err := f.cache.Put(f.ctx(), kind); err != nil {
			t.Fatal(err)
		}
	}
	writing.Wait()
	if got := f.cache.Of(kind).Snapshot().Len(); got != writes {
		t.Errorf("%d objects, want %d", got, writes)
	}
}

// Kinds of custom resources come after the cache has opened: their watches go
// on across a restart all the same.
func TestWatchesOfAKindThatComesResume(t *testing.T) {
	f := newFixture(t, Options{})
	kind := gadget("")
	f.create(f.configMaps(), configMap("n", "first", ""))
	if err := f.cache.Put(f.ctx(), kind); err != nil {
		t.Fatal(err)
	}
	f.create(f.cache.Of(kind), newGadget("a"))
	quiet := f.store.Revision()
	b := f.create(f.cache.Of(kind), newGadget("b"))
	between := f.store.Revision()
	f.delete(f.cache.Of(kind), b)
	f.create(f.cache.Of(kind), newGadget("c"))

	again := f.open(Options{})
	if err := again.Put(f.ctx(), kind); err != nil {
		t.Fatal(err)
	}
	// What happens after the kind came follows without a gap.
	f.create(again.Of(kind), newGadget("d"))
	for _, tt := range []struct {
		after store.Revision
		want  []string
	}{
		{quiet, []string{"ADDED n/b@3", "DELETED n/b@4 was 3", "ADDED n/c@5", "ADDED n/d@6"}},
		{between, []string{"DELETED n/b@4 was 3", "ADDED n/c@5", "ADDED n/d@6"}},
	} {
		if got := f.collect(f.watch(again.Of(kind), tt.after), len(tt.want)); !slices.Equal(got, tt.want) {
			t.Errorf("after %d: %v, want %v", tt.after, got, tt.want)
		}
	}
	if got := again.Of(kind).Snapshot().Len(); got != 3 {
		t.Errorf("%d objects, want 3", got)
	}
}

// A kind without recent changes can be watched from before it came; one that
// went and came again cannot, for nobody knows what happened in between.
func TestWatchesOfAKindThatComesAgain(t *testing.T) {
	f := newFixture(t, Options{})
	kind := gadget("")
	if err := f.cache.Put(f.ctx(), kind); err != nil {
		t.Fatal(err)
	}
	f.create(f.cache.Of(kind), newGadget("a"))
	quiet := f.store.Revision()
	f.create(f.configMaps(), configMap("n", "other", ""))

	again := f.open(Options{Replay: 1})
	if err := again.Put(f.ctx(), kind); err != nil {
		t.Fatal(err)
	}
	f.create(again.Of(kind), newGadget("b"))
	if got := f.collect(f.watch(again.Of(kind), quiet), 1); !slices.Equal(got, []string{"ADDED n/b@3"}) {
		t.Errorf("events %v", got)
	}
	again.Remove(kind)
	if err := again.Put(f.ctx(), kind); err != nil {
		t.Fatal(err)
	}
	_, err := again.Of(kind).Watch(quiet)
	wantError(t, err, store.ErrTooOld)
}

// A kind that changes after the cache began anew: nobody may watch it from
// before, as if nothing had happened since.
func TestWatchesOfAKindThatChangesAfterTheCacheFellBehind(t *testing.T) {
	f, faulty := newFaulty(t)
	kind := gadget("first")
	if err := f.cache.Put(f.ctx(), kind); err != nil {
		t.Fatal(err)
	}
	faulty.tooOld.Store(true)
	quiet := f.create(f.configMaps(), configMap("n", "other", "")).Revision
	f.create(f.cache.Of(kind), newGadget("a"))
	kind = gadget("second")
	if err := f.cache.Put(f.ctx(), kind); err != nil {
		t.Fatal(err)
	}
	f.create(f.cache.Of(kind), newGadget("b"))
	w, err := f.cache.Of(kind).Watch(quiet)
	if err == nil {
		t.Fatalf("the watch goes on with %v", f.collect(w, 1))
	}
	wantError(t, err, store.ErrTooOld)
}

// A watch that begins while its kind changes is one of the kind as it is then.
func TestWatchesBeginWhileTheirKindChanges(t *testing.T) {
	f := newFixture(t, Options{})
	if err := f.cache.Put(f.ctx(), gadget("first")); err != nil {
		t.Fatal(err)
	}
	old := f.cache.Of(gadget("first"))
	f.create(old, newGadget("a"))
	if err := f.cache.Put(f.ctx(), gadget("second")); err != nil {
		t.Fatal(err)
	}
	if _, err := old.watch(0); !old.replaced(err) {
		t.Errorf("the resource that was found before fails with %v", err)
	}
	if _, _, err := old.watchScope(0, Scope{Namespace: "n", Name: "a"}); !old.replaced(err) {
		t.Errorf("the scope of the resource that was found before fails with %v", err)
	}
	last := old.now()
	f.cache.Remove(gadget("second"))
	if _, err := last.Watch(0); last.now().replaced(err) {
		t.Error("what is gone is looked for without end")
	}
}
