package crd_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

// define serves widgets whose spec has these properties and these fields beside
// them; version is more of the version itself. Each begins with a comma where
// it is not empty.
func define(t *testing.T, s *apitest.Server, properties, spec, version string) {
	t.Helper()
	want(t, s, 201, "POST", definitions, fmt.Sprintf(`{"metadata":{"name":"widgets.example.com"},"spec":{"group":"example.com","scope":"Namespaced",
"names":{"plural":"widgets","kind":"Widget","shortNames":["wi"],"categories":["all"]},"versions":[{"name":"v1","served":true,"storage":true,
"schema":{"openAPIV3Schema":{"type":"object","properties":{
"spec":{"type":"object","properties":{%s}%s},"status":{"type":"object","properties":{"ready":{"type":"integer"},"replicas":{"type":"integer"},"selector":{"type":"string"}}}}}}%s}]}}`,
		properties, spec, version))
	eventually(t, s, 200, widgets)
}

// specOf is the spec that an answer shows, as JSON.
func specOf(t *testing.T, answer map[string]any) string {
	t.Helper()
	out, err := json.Marshal(answer["spec"])
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// What a schema says of unknown fields, defaults, types and lists is done to
// what is written.
func TestWhatASchemaDoes(t *testing.T) {
	s := start(t)
	define(t, s, `"open":{"type":"object","x-kubernetes-preserve-unknown-fields":true,"properties":{"known":{"type":"object","properties":{"a":{"type":"integer"}}}}},
"any":{"x-kubernetes-int-or-string":true},"maybe":{"type":"string","nullable":true},"number":{"type":"integer","minimum":1,"maximum":5,"default":2},
"part":{"type":"object","default":{},"properties":{"inner":{"type":"string","default":"in"}}},
"pod":{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true},
"map":{"type":"object","additionalProperties":{"type":"object","properties":{"n":{"type":"integer","default":7}}}},
"set":{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}},
"keyed":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["name"],"items":{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"v":{"type":"integer"}}}},
"when":{"type":"string","format":"date-time"},"pick":{"oneOf":[{"required":["a"]},{"required":["b"]}],"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}`, "", "")
	const defaults = `"number":2,"part":{"inner":"in"}`
	for i, c := range []struct{ spec, want string }{
		{`{}`, `{` + defaults + `}`},
		{`{"unknown":1,"part":{"other":2}}`, `{` + defaults + `}`},
		{`{"open":{"x":{"y":1},"known":{"a":1,"b":2}}}`, `{"number":2,"open":{"known":{"a":1},"x":{"y":1}},"part":{"inner":"in"}}`},
		{`{"any":"50%"}`, `{"any":"50%",` + defaults + `}`},
		{`{"any":3}`, `{"any":3,` + defaults + `}`},
		{`{"maybe":null,"number":null}`, `{"maybe":null,` + defaults + `}`},
		{`{"map":{"a":{},"b":{"n":1,"m":1}}}`, `{"map":{"a":{"n":7},"b":{"n":1}},` + defaults + `}`},
		{`{"pod":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","junk":1},"spec":{"x":1}}}`,
			`{"number":2,"part":{"inner":"in"},"pod":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"x":1}}}`},
	} {
		made := want(t, s, 201, "POST", widgets, widget("v1", fmt.Sprintf("good-%d", i), c.spec))
		if diff := cmp.Diff(c.want, specOf(t, made)); diff != "" {
			t.Errorf("%s is stored as: %s", c.spec, diff)
		}
	}
	for spec, text := range map[string]string{
		`{"number":9}`:                          `spec.number: Invalid value: 9: spec.number in body should be less than or equal to 5`,
		`{"number":"two"}`:                      `spec.number: Invalid value: "string": spec.number in body must be of type integer: "string"`,
		`{"any":true}`:                          `spec.any: Invalid value: "boolean": spec.any in body must be of type integer,string: "boolean"`,
		`{"set":["a","a"]}`:                     `spec.set[1]: Duplicate value: "a"`,
		`{"keyed":[{"name":"a"},{"name":"a"}]}`: `spec.keyed[1]: Duplicate value: {"name":"a"}`,
		`{"keyed":[{"v":1}]}`:                   `spec.keyed[0].name: Required value`,
		`{"when":"soon"}`:                       `spec.when: Invalid value: "soon": spec.when in body must be of type date-time: "soon"`,
		`{"pick":{"a":"1","b":"2"}}`:            `must validate one and only one schema (oneOf)`,
		`{"pod":{"kind":"Pod"}}`:                `spec.pod.apiVersion: Required value`,
	} {
		refused := want(t, s, 422, "POST", widgets, widget("v1", "bad", spec))
		if got, _ := refused["message"].(string); !strings.Contains(got, text) {
			t.Errorf("%s is refused with %q, want %q", spec, got, text)
		}
	}
}

// Unknown fields are pruned, warned of or refused as the client wishes.
func TestUnknownFieldsOfACustomResource(t *testing.T) {
	s := start(t)
	define(t, s, `"a":{"type":"string"}`, "", "")
	body := widget("v1", "w", `{"a":"x","b":"y"}`)
	refused := want(t, s, 400, "POST", widgets+"?fieldValidation=Strict", body)
	if got, _ := refused["message"].(string); !strings.Contains(got, `strict decoding error: unknown field "spec.b"`) {
		t.Errorf("the refusal is %q", got)
	}
	code, header, _ := s.Do(t, "POST", widgets+"?fieldValidation=Warn", body)
	if got := header.Get("Warning"); code != 201 || got != `299 - "unknown field \"spec.b\""` {
		t.Errorf("answered %d with the warning %s", code, got)
	}
}

// columns of a table are those of the definition, by path.
func TestPrinterColumns(t *testing.T) {
	s := start(t)
	define(t, s, `"size":{"type":"integer"},"tags":{"type":"array","items":{"type":"string"}}`, "", `,"subresources":{"status":{}},"additionalPrinterColumns":[
{"name":"Size","type":"integer","jsonPath":".spec.size","description":"how big"},{"name":"Tags","type":"string","jsonPath":".spec.tags[*]"},
{"name":"Wide","type":"string","priority":1,"jsonPath":".metadata.labels.a\\.b"},{"name":"Missing","type":"string","jsonPath":".status.ready"},
{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}]`)
	want(t, s, 201, "POST", widgets, `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w","labels":{"a.b":"label"}},"spec":{"size":3,"tags":["x","y"]}}`)
	table := want(t, s, 200, "GET", widgets, "", "Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	var names []string
	for _, c := range table["columnDefinitions"].([]any) {
		names = append(names, fmt.Sprint(at(c.(map[string]any), "name")))
	}
	if got := strings.Join(names, " "); got != "Name Size Tags Wide Missing Age" {
		t.Errorf("the columns are %s", got)
	}
	cells := table["rows"].([]any)[0].(map[string]any)["cells"].([]any)
	if diff := cmp.Diff([]any{"w", 3.0, "x", "label", nil}, cells[:5]); diff != "" {
		t.Errorf("the cells: %s", diff)
	}
}

// Status and scale are endpoints of their own: each writes its part alone, and
// the generation counts changes of the rest.
func TestSubresources(t *testing.T) {
	s := start(t)
	define(t, s, `"replicas":{"type":"integer"},"size":{"type":"integer"}`, "", `,"subresources":{"status":{},
"scale":{"specReplicasPath":".spec.replicas","statusReplicasPath":".status.replicas","labelSelectorPath":".status.selector"}}`)
	made := want(t, s, 201, "POST", widgets, `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w"},"spec":{"size":1,"replicas":1},"status":{"ready":5}}`)
	if made["status"] != nil || at(made, "metadata", "generation") != 1.0 {
		t.Errorf("a create keeps the status %v, generation %v", made["status"], at(made, "metadata", "generation"))
	}
	status := want(t, s, 200, "PATCH", widgets+"/w/status", `{"spec":{"size":9},"status":{"ready":2,"replicas":1,"selector":"a=b"},"metadata":{"labels":{"x":"y"}}}`, "Content-Type", merge)
	if at(status, "spec", "size") != 1.0 || at(status, "status", "ready") != 2.0 || at(status, "metadata", "generation") != 1.0 || at(status, "metadata", "labels") != nil {
		t.Errorf("a write of the status gives %v", status)
	}
	main := want(t, s, 200, "PATCH", widgets+"/w", `{"spec":{"size":2},"status":{"ready":7}}`, "Content-Type", merge)
	if at(main, "status", "ready") != 2.0 || at(main, "metadata", "generation") != 2.0 {
		t.Errorf("a write of the object gives %v", main)
	}
	scale := want(t, s, 200, "PATCH", widgets+"/w/scale", `{"spec":{"replicas":4}}`, "Content-Type", merge)
	if at(scale, "kind") != "Scale" || at(scale, "spec", "replicas") != 4.0 || at(scale, "status", "selector") != "a=b" {
		t.Errorf("the scale is %v", scale)
	}
	if got := want(t, s, 200, "GET", widgets+"/w", ""); at(got, "spec", "replicas") != 4.0 || at(got, "metadata", "generation") != 3.0 {
		t.Errorf("after scaling it is %v", got)
	}
	want(t, s, 404, "GET", widgets+"/missing/scale", "")
}
