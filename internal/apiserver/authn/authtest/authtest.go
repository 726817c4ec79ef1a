// Package authtest gives tests of identity and access the real object cache
// on the in-memory store, filled with the objects that a test needs.
package authtest

import (
	"testing"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/store/cache"
	"github.com/knarr-io/knarr/internal/store/disk"
)

// World is a catalogue and a cache that end with the test.
type World struct {
	t       testing.TB
	Kinds   *catalog.Catalog
	Objects *cache.Cache
}

// New opens an empty world and puts the objects into it.
func New(t testing.TB, objects ...api.Object) *World {
	t.Helper()
	kinds := catalog.New()
	st, err := disk.Open(t.Context(), disk.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := cache.Open(t.Context(), st, kinds.Kinds(), cache.Options{Mutated: func(key string) { t.Errorf("%s was changed after it was shared", key) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &World{t: t, Kinds: kinds, Objects: c}
	for _, obj := range objects {
		w.Create(obj)
	}
	return w
}

// Resource is where objects of obj's kind lie.
func (w *World) Resource(obj api.Object) *cache.Resource {
	w.t.Helper()
	kind := w.Kinds.TypeOf(obj)
	if kind == nil {
		w.t.Fatalf("%T is not in the catalogue", obj)
	}
	return w.Objects.Of(kind)
}

// Create stores an object, with a uid where it has none.
func (w *World) Create(obj api.Object) *cache.Item {
	w.t.Helper()
	if obj.GetUID() == "" {
		obj.SetUID(types.UID(uuid.NewString()))
	}
	item, err := w.Resource(obj).Create(w.t.Context(), obj)
	if err != nil {
		w.t.Fatal(err)
	}
	return item
}

// Update puts what change makes of an object in its place.
func (w *World) Update(old *cache.Item, change func(api.Object)) *cache.Item {
	w.t.Helper()
	obj := old.Object.DeepCopyObject().(api.Object)
	change(obj)
	item, err := old.Resource().Update(w.t.Context(), old, obj)
	if err != nil {
		w.t.Fatal(err)
	}
	return item
}

// Delete removes an object.
func (w *World) Delete(old *cache.Item) {
	w.t.Helper()
	if _, err := old.Resource().Delete(w.t.Context(), old); err != nil {
		w.t.Fatal(err)
	}
}
