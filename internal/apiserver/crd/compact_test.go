package crd

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func owned(manager string, fields ...string) *unstructured.Unstructured {
	set := map[string]any{}
	for _, f := range fields {
		set["f:"+f] = map[string]any{}
	}
	return &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "a",
		"managedFields": []any{map[string]any{"manager": manager, "fieldsV1": map[string]any{"f:spec": set}}}}}}
}

// setOf is the field set of an object's first manager.
func setOf(u *unstructured.Unstructured) map[string]any {
	return u.Object["metadata"].(map[string]any)["managedFields"].([]any)[0].(map[string]any)["fieldsV1"].(map[string]any)
}

func sameMap(a, b map[string]any) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

func TestObjectsShareTheirFieldSets(t *testing.T) {
	var s fieldSets
	a, b, other := owned("x", "size", "color"), owned("y", "color", "size"), owned("x", "size")
	for _, u := range []*unstructured.Unstructured{a, b, other} {
		before := u.DeepCopy()
		s.compact(u)
		if diff := cmp.Diff(before, u); diff != "" {
			t.Errorf("it is another object now: %s", diff)
		}
	}
	if !sameMap(setOf(a), setOf(b)) || sameMap(setOf(a), setOf(other)) {
		t.Error("equal sets are held twice, or different ones once")
	}
	// What an object has in common with another stays as it is.
	shared := owned("z", "size", "color")
	again := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"managedFields": shared.Object["metadata"].(map[string]any)["managedFields"]}}}
	own := setOf(shared)
	s.compact(again)
	if !sameMap(setOf(shared), own) || !sameMap(setOf(again), setOf(a)) {
		t.Error("an object that shares its managers with another changed that one")
	}
}

func TestFieldSetsAreBounded(t *testing.T) {
	var s fieldSets
	for i := range 3 * mostSets {
		s.compact(owned("x", fmt.Sprint("f", i)))
	}
	if len(s.sets) > mostSets {
		t.Errorf("%d sets are remembered", len(s.sets))
	}
	s.compact(&unstructured.Unstructured{Object: map[string]any{}})
	s.compact(&unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"managedFields": []any{"text", map[string]any{"fieldsV1": 5}}}}})
}
