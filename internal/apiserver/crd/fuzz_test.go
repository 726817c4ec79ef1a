package crd_test

import (
	"encoding/json"
	"testing"

	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/knarr-io/knarr/internal/api/apiextensions"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// FuzzDefinition gives the validation of definitions what strangers may send:
// it must answer, whatever that is.
func FuzzDefinition(f *testing.F) {
	f.Add([]byte(definition(none, "")))
	f.Add([]byte(definition(none, `,"r":{"type":"integer","x-kubernetes-validations":[{"rule":"self > 1"}]}`)))
	f.Add([]byte(definition(none, `,"l":{"type":"array","items":{"type":"array","items":{"type":"string","x-kubernetes-validations":[{"rule":"self.contains(self)"}]}}}`)))
	f.Add([]byte(definition(none, `,"x":{"$ref":"#"}`)))
	f.Add([]byte(`{"spec":{"versions":[{"selectableFields":[{"jsonPath":".spec.color"}],"schema":{}}]}}`))
	kind := apiextensions.CustomResourceDefinition()
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &v1.CustomResourceDefinition{}
		if json.Unmarshal(data, d) != nil {
			return
		}
		kind.Main.Default(d)
		kind.Main.PrepareCreate(d)
		if len(validate.Create(kind, d)) > 0 {
			return
		}
		d.ResourceVersion = "1"
		if errs := kind.Main.ValidateUpdate(d, d.DeepCopy()); len(errs) > 0 {
			t.Errorf("valid as new, but not as unchanged: %v", errs)
		}
	})
}

func TestExpensiveRulesAreRefused(t *testing.T) {
	s := start(t)
	nested := `,"l":{"type":"array","items":{"type":"array","items":{"type":"string"}},"x-kubernetes-validations":[{"rule":"self.all(a, a.all(b, self.all(c, c.all(d, d == b))))"}]}`
	got := want(t, s, 422, "POST", definitions, definition(none, nested))
	if got["reason"] != "Invalid" {
		t.Errorf("answer %v", got)
	}
}
