package crd_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/knarr-io/knarr/internal/testkit/apitest"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

const (
	asV2  = "/apis/example.com/v2/namespaces/default/widgets"
	merge = "application/merge-patch+json"
)

// patchDefinition changes the definition of widgets by JSON patch operations.
func patchDefinition(t *testing.T, s *apitest.Server, operations string) map[string]any {
	t.Helper()
	return want(t, s, 200, "PATCH", definitions+"/widgets.example.com", operations, "Content-Type", "application/json-patch+json")
}

// Versions come to be stored, deprecated and not served any more, while the
// objects that were stored before stay readable in those that are.
func TestVersionsComeAndGo(t *testing.T) {
	s := start(t)
	want(t, s, 201, "POST", definitions, definition(none, ""))
	eventually(t, s, 200, widgets)
	want(t, s, 201, "POST", widgets, widget("v1", "old", `{"color":"red"}`))

	changed := patchDefinition(t, s, `[{"op":"replace","path":"/spec/versions/0/storage","value":false},{"op":"replace","path":"/spec/versions/1/storage","value":true},
{"op":"add","path":"/spec/versions/0/deprecated","value":true}]`)
	if got := fmt.Sprint(at(changed, "status", "storedVersions")); got != "[v1 v2]" {
		t.Errorf("stored versions are %s", got)
	}
	warned := func() string {
		_, header, _ := s.Do(t, "GET", widgets+"/old", "")
		return header.Get("Warning")
	}
	await.Until(t, time.Minute, "the warning of a deprecated version", func() bool {
		return warned() == `299 - "example.com/v1 Widget is deprecated; use example.com/v2 Widget"`
	})
	want(t, s, 201, "POST", asV2, widget("v2", "new", `{"color":"blue"}`))
	for _, path := range []string{widgets, asV2} {
		for name, color := range map[string]string{"old": "red", "new": "blue"} {
			if got := want(t, s, 200, "GET", path+"/"+name, ""); at(got, "spec", "color") != color || !strings.HasPrefix(path, "/apis/"+at(got, "apiVersion").(string)) {
				t.Errorf("%s of %s is %v", name, path, got)
			}
		}
	}
	want(t, s, 422, "PATCH", definitions+"/widgets.example.com", `[{"op":"remove","path":"/spec/versions/0"}]`, "Content-Type", "application/json-patch+json") // v1 may be stored

	patchDefinition(t, s, `[{"op":"replace","path":"/spec/versions/0/served","value":false}]`)
	eventually(t, s, 404, widgets)
	eventually(t, s, 404, "/apis/example.com/v1")
	want(t, s, 200, "PATCH", asV2+"/old", `{"spec":{"size":4}}`, "Content-Type", merge)
	if list := want(t, s, 200, "GET", asV2, ""); len(list["items"].([]any)) != 2 {
		t.Errorf("the list as v2: %v", list)
	}
}

// next reads the next event of a watch: its type, and the object.
func next(t *testing.T, events *json.Decoder) (string, map[string]any) {
	t.Helper()
	var ev struct {
		Type   string         `json:"type"`
		Object map[string]any `json:"object"`
	}
	if err := events.Decode(&ev); err != nil {
		t.Fatal(err)
	}
	return ev.Type, ev.Object
}

// watch begins one at a revision.
func watch(t *testing.T, s *apitest.Server, path, query string) *json.Decoder {
	t.Helper()
	list := want(t, s, 200, "GET", path, "")
	res := s.Open(t, "GET", fmt.Sprintf("%s?watch=1&timeoutSeconds=60&resourceVersion=%v%s", path, at(list, "metadata", "resourceVersion"), query), "")
	t.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		t.Fatalf("the watch is answered %d", res.StatusCode)
	}
	return json.NewDecoder(bufio.NewReader(res.Body))
}

// Every verb works through a webhook: what comes in is stored as it converts
// it, and what goes out is shown as it converts it back.
func TestEveryVerbThroughAWebhook(t *testing.T) {
	s := start(t)
	conversion := hook(t, convert(func(obj map[string]any) { // v2 has the colour in capitals
		spec, _ := obj["spec"].(map[string]any)
		color, _ := spec["color"].(string)
		switch {
		case color == "":
		case obj["apiVersion"] == "example.com/v2":
			spec["color"] = strings.ToUpper(color)
		default:
			spec["color"] = strings.ToLower(color)
		}
	}))
	want(t, s, 201, "POST", definitions, definition(conversion, ""))
	eventually(t, s, 200, widgets)
	events := watch(t, s, asV2, "")
	stored := func(color string) {
		t.Helper()
		if got := want(t, s, 200, "GET", widgets+"/a", ""); at(got, "spec", "color") != color {
			t.Errorf("stored is %v, want %s", got["spec"], color)
		}
		kind, shown := next(t, events)
		if at(shown, "spec", "color") != strings.ToUpper(color) || at(shown, "apiVersion") != "example.com/v2" {
			t.Errorf("%s %v is watched, want %s", kind, shown, strings.ToUpper(color))
		}
	}
	made := want(t, s, 201, "POST", asV2, widget("v2", "a", `{"color":"RED"}`))
	stored("red")
	at(made, "spec").(map[string]any)["color"] = "GREEN"
	body, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	want(t, s, 200, "PUT", asV2+"/a", string(body))
	stored("green")
	if got := want(t, s, 200, "PATCH", asV2+"/a", `{"spec":{"color":"BLUE"}}`, "Content-Type", merge); at(got, "spec", "color") != "BLUE" {
		t.Errorf("the patch is answered with %v", got["spec"])
	}
	stored("blue")
	applied := want(t, s, 200, "PATCH", asV2+"/a?fieldManager=m&force=true", widget("v2", "a", `{"color":"WHITE"}`), "Content-Type", "application/apply-patch+yaml")
	if at(applied, "spec", "color") != "WHITE" || !strings.Contains(fmt.Sprint(at(applied, "metadata", "managedFields")), "apiVersion:example.com/v2") {
		t.Errorf("the configuration is applied as %v", applied)
	}
	stored("white")
	want(t, s, 200, "PATCH", asV2+"/a/status", `{"status":{"ready":true}}`, "Content-Type", merge)
	stored("white")
	want(t, s, 422, "PATCH", asV2+"/a", `{"spec":{"size":"large"}}`, "Content-Type", merge)
	want(t, s, 200, "DELETE", asV2+"/a", "")
	if kind, shown := next(t, events); kind != "DELETED" || at(shown, "spec", "color") != "WHITE" {
		t.Errorf("the end is watched as %s %v", kind, shown)
	}
}

// Who selects by a field of the definition sees objects come and go as the
// field changes; other fields cannot be selected by.
func TestSelectableFieldsAreWatched(t *testing.T) {
	s := start(t)
	want(t, s, 201, "POST", definitions, definition(none, ""))
	eventually(t, s, 200, widgets)
	events := watch(t, s, widgets, "&fieldSelector=spec.color%3Dred")
	want(t, s, 201, "POST", widgets, widget("v1", "other", `{"color":"blue"}`))
	want(t, s, 201, "POST", widgets, widget("v1", "a", `{"color":"red"}`))
	want(t, s, 200, "PATCH", widgets+"/a", `{"spec":{"color":"blue"}}`, "Content-Type", merge)
	want(t, s, 200, "PATCH", widgets+"/a", `{"spec":{"color":"red"}}`, "Content-Type", merge)
	for _, wanted := range []string{"ADDED", "DELETED", "ADDED"} {
		if kind, obj := next(t, events); kind != wanted || at(obj, "metadata", "name") != "a" {
			t.Errorf("%s %v, want %s of a", kind, obj, wanted)
		}
	}
	refused := want(t, s, 400, "GET", widgets+"?fieldSelector=spec.size%3D3", "")
	if text, _ := refused["message"].(string); !strings.Contains(text, "field label not supported: spec.size") {
		t.Errorf("refused with %q", text)
	}
}

// Parameters of policies are of the version that the policy names, as the
// definition's webhook makes it.
func TestParametersAreConverted(t *testing.T) {
	s := start(t)
	want(t, s, 201, "POST", definitions, definition(hook(t, convert(func(obj map[string]any) {
		obj["spec"].(map[string]any)["color"] = "for " + obj["apiVersion"].(string)
	})), ""))
	eventually(t, s, 200, widgets)
	want(t, s, 201, "POST", widgets, widget("v1", "wish", `{"color":"red"}`))
	const registration = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
	want(t, s, 201, "POST", registration+"ies", `{"metadata":{"name":"p"},"spec":{"paramKind":{"apiVersion":"example.com/v2","kind":"Widget"},
"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["configmaps"]}]},
"validations":[{"expression":"false","messageExpression":"params.apiVersion + ' ' + params.spec.color"}]}}`)
	want(t, s, 201, "POST", registration+"ybindings", `{"metadata":{"name":"p"},"spec":{"policyName":"p","validationActions":["Deny"],"paramRef":{"name":"wish","parameterNotFoundAction":"Deny"}}}`)
	refused := want(t, s, 422, "POST", "/api/v1/namespaces/default/configmaps", `{"metadata":{"name":"a"}}`)
	if text := at(refused, "message").(string); !strings.HasSuffix(text, "example.com/v2 for example.com/v2") {
		t.Errorf("refused with %q", text)
	}
}
