package openapi

import (
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
)

func TestSchemaHasNoReferences(t *testing.T) {
	d, err := New()
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Schema(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"})
	if err != nil {
		t.Fatal(err)
	}
	containers := s.Properties["spec"].Properties["template"].Properties["spec"].Properties["containers"]
	if containers.Items == nil || !containers.Items.Schema.Properties["image"].Type.Contains("string") {
		t.Errorf("containers are %+v", containers)
	}
	for _, gvk := range []schema.GroupVersionKind{{Group: "apps", Version: "v1", Kind: "Nothing"}, {Group: "nothing", Version: "v1", Kind: "Pod"}} {
		if _, err := d.Schema(gvk); !errors.Is(err, resolver.ErrSchemaNotFound) {
			t.Errorf("schema of %s: %v", gvk, err)
		}
	}
}
