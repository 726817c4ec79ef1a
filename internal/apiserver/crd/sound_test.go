package crd

import (
	"encoding/json"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

// againstText holds values against a schema in JSON.
func againstText(t rapid.TB, schema string) *against {
	t.Helper()
	props, internal := &v1.JSONSchemaProps{}, &apiextensions.JSONSchemaProps{}
	if err := json.Unmarshal([]byte(schema), props); err != nil {
		t.Fatal(err)
	}
	if err := v1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, internal, nil); err != nil {
		t.Fatal(err)
	}
	out, err := newAgainst(internal)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// decoded is a value as objects hold it.
func decoded(t rapid.TB, text string) any {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON([]byte(`{"kind":"K","value":` + text + `}`)); err != nil {
		t.Fatal(err)
	}
	return u.Object["value"]
}

func TestKnownToBeSound(t *testing.T) {
	for _, tt := range []struct {
		schema, value string
		want          bool
	}{
		{`{}`, `{"a":[1,"x",null]}`, true},
		{`{"type":"string","enum":["a","b"]}`, `"b"`, true},
		{`{"type":"string","enum":["a","b"]}`, `"c"`, false},
		{`{"type":"string","minLength":2,"maxLength":2,"pattern":"^é"}`, `"éa"`, true},
		{`{"type":"string","maxLength":2}`, `"abc"`, false},
		{`{"type":"string","format":"date-time"}`, `"2026-01-02T03:04:05Z"`, true},
		{`{"type":"string","format":"date-time"}`, `"soon"`, false},
		{`{"type":"integer","format":"int32","minimum":1,"maximum":5}`, `5`, true},
		{`{"type":"integer","format":"int32"}`, `3000000000`, false},
		{`{"type":"integer","minimum":1}`, `0`, false},
		{`{"type":"integer"}`, `1.5`, false},
		{`{"type":"number"}`, `1.5`, true},
		{`{"type":"number"}`, `1`, true},
		{`{"x-kubernetes-int-or-string":true,"anyOf":[{"type":"integer"},{"type":"string"}]}`, `"50%"`, true},
		{`{"x-kubernetes-int-or-string":true}`, `true`, false},
		{`{"type":"string","nullable":true}`, `null`, true},
		{`{"type":"string"}`, `null`, false},
		{`{"type":"boolean"}`, `false`, true},
		{`{"type":"array","maxItems":1,"items":{"type":"string"}}`, `["a"]`, true},
		{`{"type":"array","maxItems":1,"items":{"type":"string"}}`, `["a","b"]`, false},
		{`{"type":"array","items":{"type":"string"}}`, `[1]`, false},
		{`{"type":"object","required":["a"],"properties":{"a":{"type":"string"}}}`, `{"a":"1","b":2}`, true},
		{`{"type":"object","required":["a"]}`, `{}`, false},
		{`{"type":"object","maxProperties":1,"additionalProperties":{"type":"string"}}`, `{"a":"1"}`, true},
		{`{"type":"object","additionalProperties":{"type":"string"}}`, `{"a":1}`, false},
		{`{"type":"object","allOf":[{"required":["a"]},{"required":["b"]}]}`, `{"a":1}`, false},
		{`{"type":"object","oneOf":[{"required":["a"]},{"required":["b"]}]}`, `{"a":1}`, false}, // sound, but not known to be
	} {
		if got := againstText(t, tt.schema).sound.knows(decoded(t, tt.value)); got != tt.want {
			t.Errorf("%s of %s: known %v, want %v", tt.value, tt.schema, got, tt.want)
		}
	}
}

// drawSchema makes a schema of parts that fit each other, or do not.
func drawSchema(t *rapid.T, deep int) map[string]any {
	out := map[string]any{}
	maybe := func(field string, value func() any) {
		if rapid.IntRange(0, 2).Draw(t, field) == 0 {
			out[field] = value()
		}
	}
	small := func() any { return rapid.IntRange(0, 3).Draw(t, "n") }
	one := func(of ...any) func() any {
		return func() any { return rapid.SampledFrom(of).Draw(t, "one") }
	}
	maybe("nullable", one(true))
	maybe("enum", one([]any{"a", "abc"}, []any{1, "a", nil}))
	switch kind := rapid.SampledFrom([]string{"", "string", "integer", "number", "boolean", "array", "object"}).Draw(t, "type"); kind {
	case "string":
		out["type"] = kind
		maybe("pattern", one("^a", "("))
		maybe("format", one("date", "ipv4", "byte", "no-such"))
		maybe("minLength", small)
		maybe("maxLength", small)
	case "integer", "number":
		out["type"] = kind
		maybe("format", one("int32", "int64", "float", "double"))
		maybe("minimum", one(0, 0.5, -3e9))
		maybe("maximum", one(1, 2.5, 3e9))
		maybe("exclusiveMaximum", one(true))
		maybe("multipleOf", one(2, 0.5))
	case "array":
		out["type"] = kind
		maybe("minItems", small)
		maybe("maxItems", small)
		maybe("uniqueItems", one(true))
		if deep > 0 {
			out["items"] = drawSchema(t, deep-1)
		}
	case "object":
		out["type"] = kind
		maybe("minProperties", small)
		maybe("maxProperties", small)
		maybe("required", one([]any{"a"}, []any{"b"}))
		if deep > 0 {
			maybe("properties", func() any { return map[string]any{"a": drawSchema(t, deep-1), "b": drawSchema(t, deep-1)} })
			maybe("additionalProperties", func() any { return drawSchema(t, deep-1) })
		}
	case "":
		maybe("x-kubernetes-int-or-string", one(true))
	}
	if deep > 0 {
		for _, field := range []string{"allOf", "anyOf", "oneOf"} {
			maybe(field, func() any { return []any{drawSchema(t, deep-1), drawSchema(t, deep-1)} })
		}
		maybe("not", func() any { return drawSchema(t, deep-1) })
	}
	return out
}

func drawValue(t *rapid.T, deep int) any {
	kinds := 7
	if deep == 0 {
		kinds = 5
	}
	switch rapid.IntRange(0, kinds).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2, 3:
		return rapid.SampledFrom([]any{0, 1, 2, 0.5, -1, 3e9, 5e18}).Draw(t, "number")
	case 4, 5:
		return rapid.SampledFrom([]any{"", "a", "abc", "é", "1.2.3.4", "2026-01-02"}).Draw(t, "text")
	case 6:
		out := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			out = append(out, drawValue(t, deep-1))
		}
		return out
	}
	out := map[string]any{}
	for _, name := range []string{"a", "b", "c"} {
		if rapid.Bool().Draw(t, name) {
			out[name] = drawValue(t, deep-1)
		}
	}
	return out
}

func text(t rapid.TB, value any) string {
	out, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// What is known to be sound the library finds nothing wrong with, new or in the
// place of any other value.
func TestWhatIsKnownIsSound(t *testing.T) {
	known := 0
	property.Check(t, func(t *rapid.T) {
		a := againstText(t, text(t, drawSchema(t, 2)))
		for range 20 {
			value, old := decoded(t, text(t, drawValue(t, 2))), decoded(t, text(t, drawValue(t, 2)))
			if !a.sound.knows(value) {
				continue
			}
			known++
			if errs := validation.ValidateCustomResource(nil, value, a.full); len(errs) > 0 {
				t.Errorf("%v: %v", value, errs)
			}
			ratchet := func(o *validation.ValidationOptions) { o.Ratcheting = true }
			if errs := validation.ValidateCustomResourceUpdate(nil, value, old, a.full, ratchet); len(errs) > 0 {
				t.Errorf("%v in the place of %v: %v", value, old, errs)
			}
		}
	})
	if known < 100 {
		t.Errorf("only %d values are known to be sound", known)
	}
}
