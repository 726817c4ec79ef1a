package crd_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// Operations of two kinds may have one name, as the status of a Widget and a
// WidgetStatus: documents show both.
func TestDocumentsOfKindsWhoseOperationsAreNamedAlike(t *testing.T) {
	s := start(t)
	want(t, s, 201, "POST", definitions, definition(none, ""))
	other := strings.NewReplacer("widgets", "widgetstatuses", `"Widget"`, `"WidgetStatus"`)
	want(t, s, 201, "POST", definitions, other.Replace(definition(none, "")))
	for _, name := range []string{"widgets.example.com", "widgetstatuses.example.com"} { // told after documents are made
		eventuallyHas(t, s, name, "Established", "True InitialNamesAccepted")
	}

	whole := want(t, s, 200, "GET", "/openapi/v2", "")
	v3 := want(t, s, 200, "GET", "/openapi/v3/apis/example.com/v1", "")
	for _, path := range []string{"/{name}/status", "/{name}"} {
		for _, plural := range []string{"widgets", "widgetstatuses"} {
			path := "/apis/example.com/v1/namespaces/{namespace}/" + plural + path
			if at(whole, "paths", path) == nil || at(v3, "paths", path) == nil {
				t.Errorf("%s is not shown", path)
			}
		}
	}
	for _, kind := range []string{"Widget", "WidgetStatus"} {
		name := "com.example.v1." + kind
		if at(whole, "definitions", name) == nil || at(v3, "components", "schemas", name) == nil {
			t.Errorf("%s is not shown", name)
		}
	}
	code, _, _ := s.Do(t, "GET", "/openapi/v2", "", "Accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
	if code != 200 {
		t.Errorf("in protobuf it is answered %d", code)
	}
}

// What paths of custom resources refer to is in the document.
func TestParametersOfTheDocumentAreThere(t *testing.T) {
	s := start(t)
	want(t, s, 201, "POST", definitions, definition(none, ""))
	eventuallyHas(t, s, "widgets.example.com", "Established", "True InitialNamesAccepted")
	_, _, raw := s.Do(t, "GET", "/openapi/v2", "")
	var whole struct {
		Paths      map[string]json.RawMessage `json:"paths"`
		Parameters map[string]any             `json:"parameters"`
	}
	if err := json.Unmarshal(raw, &whole); err != nil {
		t.Fatal(err)
	}
	for path, item := range whole.Paths {
		for _, part := range strings.Split(string(item), `"#/parameters/`)[1:] {
			if name, _, _ := strings.Cut(part, `"`); whole.Parameters[name] == nil {
				t.Errorf("%s refers to %s", path, name)
			}
		}
	}
}
