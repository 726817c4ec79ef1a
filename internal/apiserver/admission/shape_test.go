package admission

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/knarr-io/knarr/internal/api"
)

// What a webhook adds to a custom resource and its schema does not know is
// dropped, as it is of a request's body.
func TestReplacedCustomResourceObeysItsSchema(t *testing.T) {
	kind := api.Spec[*unstructured.Unstructured]{
		Group: "example.com", Version: "v1", Name: "Widget", Resource: "widgets", Namespaced: true,
		New: func() *unstructured.Unstructured { return &unstructured.Unstructured{} },
	}.Kind()
	kind.Custom = &api.Custom{Coerce: func(obj api.Object, _ bool) ([]string, error) {
		unstructured.RemoveNestedField(obj.(*unstructured.Unstructured).Object, "data", "unknown")
		return nil, nil
	}}
	widget := func(data map[string]any) map[string]any {
		return map[string]any{"apiVersion": "example.com/v1", "kind": "Widget", "data": data}
	}
	a := &Attributes{Kind: kind, Object: &unstructured.Unstructured{Object: widget(map[string]any{"known": "yes"})}}
	changed := widget(map[string]any{"known": "no", "unknown": "yes"})
	if err := a.Replace(t.Context(), changed, kind, false); err != nil {
		t.Fatal(err)
	}
	want := widget(map[string]any{"known": "no"})
	if d := cmp.Diff(want, a.Object.(*unstructured.Unstructured).Object); d != "" {
		t.Error(d)
	}
}
