package crd

import (
	"encoding/json"
	"strings"
	"testing"

	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/knarr-io/knarr/internal/api/apiextensions"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// boats is a definition whose only version has a schema; nil where the API
// would refuse it.
func boats(schema []byte) *definition {
	props := &v1.JSONSchemaProps{}
	if json.Unmarshal(schema, props) != nil {
		return nil
	}
	crd := &v1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "boats.example.com"},
		Spec: v1.CustomResourceDefinitionSpec{
			Group: "example.com", Scope: v1.ClusterScoped, Names: v1.CustomResourceDefinitionNames{Plural: "boats", Kind: "Boat"},
			Versions: []v1.CustomResourceDefinitionVersion{{Name: "v1", Served: true, Storage: true,
				Schema: &v1.CustomResourceValidation{OpenAPIV3Schema: props}, Subresources: &v1.CustomResourceSubresources{Status: &v1.CustomResourceSubresourceStatus{}}}},
		},
	}
	kind := apiextensions.CustomResourceDefinition()
	kind.Main.Default(crd)
	kind.Main.PrepareCreate(crd)
	if len(validate.Create(kind, crd)) > 0 {
		return nil
	}
	return define(crd, crd.Spec.Names, parts{})
}

// FuzzSchema takes an object all the way through a schema, both of which
// strangers wrote: whatever passed the check of definitions prunes, defaults,
// checks, evaluates and is published without a panic. Pruning twice drops
// nothing more, and what is valid is valid as a change of itself.
func FuzzSchema(f *testing.F) {
	const metadata = `"apiVersion":"example.com/v1","kind":"Boat","metadata":{"name":"a"}`
	for schema, object := range map[string]string{
		`{"type":"object"}`: `{` + metadata + `,"spec":{"x":1}}`,
		`{"type":"object","x-kubernetes-preserve-unknown-fields":true}`:                                                                                                                                           `{` + metadata + `,"any":[{"a":null}]}`,
		`{"type":"object","properties":{"spec":{"type":"object","default":{},"properties":{"n":{"type":"integer","default":3,"minimum":1,"maximum":9}}}}}`:                                                        `{` + metadata + `,"spec":{"n":7,"m":1}}`,
		`{"type":"object","properties":{"s":{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}}}}`:                                                                                          `{` + metadata + `,"s":["a","b","a"]}`,
		`{"type":"object","properties":{"e":{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true}}}`:                                                                `{` + metadata + `,"e":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":1}}}}`,
		`{"type":"object","properties":{"m":{"type":"object","additionalProperties":{"type":"string","nullable":true,"default":"x","pattern":"^x"}}}}`:                                                            `{` + metadata + `,"m":{"a":null,"b":"y"}}`,
		`{"type":"object","properties":{"q":{"x-kubernetes-int-or-string":true},"w":{"type":"string","format":"date-time"}},"required":["q"]}`:                                                                    `{` + metadata + `,"q":"5%","w":"soon"}`,
		`{"type":"object","properties":{"n":{"type":"integer","x-kubernetes-validations":[{"rule":"self > 2 && self >= oldSelf","optionalOldSelf":false}]}}}`:                                                     `{` + metadata + `,"n":2}`,
		`{"type":"object","properties":{"k":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["a"],"items":{"type":"object","required":["a"],"properties":{"a":{"type":"string"}}}}}}`: `{` + metadata + `,"k":[{"a":"1"},{"a":"1"}]}`,
	} {
		f.Add([]byte(schema), []byte(object))
	}
	f.Fuzz(func(t *testing.T, schema, object []byte) {
		d := boats(schema)
		u := &unstructured.Unstructured{}
		if d == nil || u.UnmarshalJSON(object) != nil || u.IsList() {
			return
		}
		v := d.storage
		for _, p := range []publishing{{}, {v2: true}} {
			if _, err := v.published(p); err != nil {
				t.Errorf("cannot be published: %v", err)
			}
		}
		if _, err := v.coerce(u, coercion{track: true}); err != nil {
			return
		}
		once := u.DeepCopy()
		if unknown, err := v.coerce(u, coercion{track: true}); err != nil || len(unknown) > 0 || !apiequality.Semantic.DeepEqual(once.Object, u.Object) {
			t.Errorf("the second time it drops %v, %v\nof  %v\ngot %v", unknown, err, once.Object, u.Object)
		}
		v.setDefaults(u)
		if len(v.validate(u)) > 0 {
			return
		}
		was := u.DeepCopy()
		u.SetResourceVersion("1")
		was.SetResourceVersion("1")
		if errs := v.validateStatus(u, was); len(errs) > 0 && !hasTransitionRules(d) {
			t.Errorf("valid, but not as a status that stays: %v", errs)
		}
		if errs := v.validateUpdate(u, was); len(errs) > 0 && !hasTransitionRules(d) {
			t.Errorf("valid as new, but not as unchanged: %v", errs)
		}
	})
}

// hasTransitionRules tells of rules that compare with what was before: they may
// refuse even what stays as it is.
func hasTransitionRules(d *definition) bool {
	text, err := json.Marshal(d.storage.spec.Schema)
	return err != nil || strings.Contains(string(text), "oldSelf")
}
