package catalog

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestNewFindsKinds(t *testing.T) {
	c := New()
	for _, want := range []schema.GroupVersionKind{
		{Version: "v1", Kind: "Pod"},
		{Group: "apps", Version: "v1", Kind: "Deployment"},
		{Group: "authorization.k8s.io", Version: "v1", Kind: "SubjectAccessReview"},
	} {
		if k := c.Kind(want); k == nil || k.GVK != want {
			t.Errorf("Kind(%v) = %v", want, k)
		}
	}
}

func TestKindsAreWhole(t *testing.T) {
	for _, k := range New().Kinds() {
		if k.Singular == "" || k.Resource == "" || k.New == nil {
			t.Errorf("%v: names or constructor missing", k.GVK)
		}
		if got := k.New(); got == nil || New().TypeOf(got) == nil {
			t.Errorf("%v: not found by its type", k.GVK)
		}
		if !k.Virtual && k.NewList == nil {
			t.Errorf("%v: no list", k.GVK)
		}
		if len(k.Columns) > 0 && k.Row != nil {
			continue
		}
		if len(k.Columns) > 0 || k.Row != nil {
			t.Errorf("%v: columns and rows belong together", k.GVK)
		}
	}
}
