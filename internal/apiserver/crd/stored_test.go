package crd_test

import (
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/testkit/await"
)

// What objects have alike is held once, whether they were written or read from
// the store.
func TestStoredObjectsAreCompact(t *testing.T) {
	s := start(t)
	want(t, s, 201, "POST", definitions, definition(none, ""))
	eventually(t, s, 200, widgets)
	for _, name := range []string{"a", "b"} {
		want(t, s, 201, "POST", widgets, widget("v1", name, `{"color":"red"}`))
	}
	fieldsOf := func(name string) (address uintptr, reread bool) {
		k := s.Catalog.Kind(schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"})
		item, found := s.Cache.Of(k).Get("default", name)
		if !found {
			return 0, false
		}
		u := item.Object.(*unstructured.Unstructured)
		entries, _, _ := unstructured.NestedFieldNoCopy(u.Object, "metadata", "managedFields")
		_, reread, _ = unstructured.NestedString(u.Object, "spec", "added")
		return reflect.ValueOf(entries.([]any)[0].(map[string]any)["fieldsV1"]).Pointer(), reread
	}
	check := func() {
		t.Helper()
		a, _ := fieldsOf("a")
		if b, _ := fieldsOf("b"); a == 0 || a != b {
			t.Error("two objects with the same fields hold them twice")
		}
	}
	check()
	const property = `/schema/openAPIV3Schema/properties/spec/properties/added","value":{"type":"string","default":"new"}}`
	patchDefinition(t, s, `[{"op":"add","path":"/spec/versions/0`+property+`,{"op":"add","path":"/spec/versions/1`+property+`]`)
	await.Until(t, patience, "the objects are read again", func() bool { _, reread := fieldsOf("b"); return reread })
	check()
}
