package crd_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/knarr-io/knarr/internal/testkit/apitest"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

const (
	definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	widgets     = "/apis/example.com/v1/namespaces/default/widgets"
	patience    = time.Minute
)

// definition is a CustomResourceDefinition whose storage version is v1. conversion
// is the field's JSON; extra joins the spec's schema.
func definition(conversion, extra string) string {
	version := func(name string, storage bool) string {
		return fmt.Sprintf(`{"name":%q,"served":true,"storage":%v,"subresources":{"status":{}},
"selectableFields":[{"jsonPath":".spec.color"}],
"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":{
"color":{"type":"string"},"size":{"type":"integer","default":3}%s}},"status":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}}}`, name, storage, extra)
	}
	return fmt.Sprintf(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"widgets.example.com"},
"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"widgets","kind":"Widget"},"conversion":%s,"versions":[%s,%s]}}`,
		conversion, version("v1", true), version("v2", false))
}

const none = `{"strategy":"None"}`

func start(t *testing.T) *apitest.Server {
	s := apitest.Start(t, nil)
	s.ServeCustom(t)
	return s
}

// want sends a request and checks the status of the answer.
func want(t *testing.T, s *apitest.Server, code int, method, path, body string, headers ...string) map[string]any {
	t.Helper()
	got, _, data := s.Do(t, method, path, body, headers...)
	if got != code {
		t.Fatalf("%s %s: %d, want %d: %s", method, path, got, code, data)
	}
	out := map[string]any{}
	if len(data) > 0 && data[0] == '{' {
		if err := json.Unmarshal(data, &out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// eventually repeats a get until it is answered with the code.
func eventually(t *testing.T, s *apitest.Server, code int, path string) {
	t.Helper()
	await.Success(t, time.Minute, fmt.Sprintf("GET %s is answered with %d", path, code), func() error {
		if got, _, data := s.Do(t, "GET", path, ""); got != code {
			return fmt.Errorf("%d: %s", got, data)
		}
		return nil
	})
}

// eventuallyRefused repeats a dry create until a changed schema refuses it.
func eventuallyRefused(t *testing.T, s *apitest.Server, body string) {
	t.Helper()
	await.Until(t, time.Minute, "refused: "+body, func() bool {
		got, _, _ := s.Do(t, "POST", widgets+"?dryRun=All", body)
		return got == 422
	})
}

func widget(version, name, spec string) string {
	return fmt.Sprintf(`{"apiVersion":"example.com/%s","kind":"Widget","metadata":{"name":%q},"spec":%s}`, version, name, spec)
}

func at(obj map[string]any, path ...string) any {
	var value any = obj
	for _, p := range path {
		m, _ := value.(map[string]any)
		value = m[p]
	}
	return value
}

func TestLifeOfADefinition(t *testing.T) {
	s := start(t)
	want(t, s, 201, "POST", definitions, definition(none, ""))
	eventually(t, s, 200, widgets)
	for _, path := range []string{"/apis/example.com/v1", "/apis/example.com", "/openapi/v3/apis/example.com/v1"} {
		eventually(t, s, 200, path)
	}
	made := want(t, s, 201, "POST", widgets, widget("v1", "a", `{"color":"red","unknown":1}`))
	if at(made, "spec", "size") != 3.0 || at(made, "spec", "unknown") != nil {
		t.Errorf("not defaulted, or not pruned: %v", made["spec"])
	}
	other := want(t, s, 200, "GET", strings.Replace(widgets, "v1", "v2", 1)+"/a", "")
	if at(other, "apiVersion") != "example.com/v2" || at(other, "spec", "color") != "red" {
		t.Errorf("as v2: %v", other)
	}
	list := want(t, s, 200, "GET", widgets+"?fieldSelector=spec.color%3Dred", "")
	if items, _ := list["items"].([]any); len(items) != 1 {
		t.Errorf("selected by colour: %v", list)
	}
	want(t, s, 200, "DELETE", definitions+"/widgets.example.com", "")
	eventually(t, s, 404, definitions+"/widgets.example.com")
	eventually(t, s, 404, widgets)
	eventually(t, s, 404, "/openapi/v3/apis/example.com/v1")
	want(t, s, 201, "POST", definitions, definition(none, ""))
	eventually(t, s, 200, widgets)
	want(t, s, 404, "GET", widgets+"/a", "")
}

func TestAChangedDefinitionRereadsItsObjects(t *testing.T) {
	s := start(t)
	want(t, s, 201, "POST", definitions, definition(none, ""))
	eventually(t, s, 200, widgets)
	want(t, s, 201, "POST", widgets, widget("v1", "a", `{"color":"red"}`))
	changed := want(t, s, 200, "GET", definitions+"/widgets.example.com", "")
	patch := fmt.Sprintf(`[{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/added","value":{"type":"string","default":"new"}},
{"op":"add","path":"/spec/versions/1/schema/openAPIV3Schema/properties/spec/properties/added","value":{"type":"string","default":"new"}},
{"op":"test","path":"/metadata/uid","value":%q}]`, at(changed, "metadata", "uid"))
	want(t, s, 200, "PATCH", definitions+"/widgets.example.com", patch, "Content-Type", "application/json-patch+json")
	await.Until(t, time.Minute, "the stored object gets the new default", func() bool {
		return at(want(t, s, 200, "GET", widgets+"/a", ""), "spec", "added") == "new"
	})
}

// hook is a conversion webhook; answer makes the converted objects.
func hook(t *testing.T, answer func(w http.ResponseWriter, review map[string]any)) string {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review map[string]any
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, review)
	}))
	t.Cleanup(srv.Close)
	bundle, err := json.Marshal(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"strategy":"Webhook","webhook":{"conversionReviewVersions":["v1"],"clientConfig":{"url":%q,"caBundle":%s}}}`, srv.URL, bundle)
}

// convert answers well, after change had each object.
func convert(change func(obj map[string]any)) func(http.ResponseWriter, map[string]any) {
	return func(w http.ResponseWriter, review map[string]any) {
		asked := review["request"].(map[string]any)
		objects := asked["objects"].([]any)
		for _, o := range objects {
			obj := o.(map[string]any)
			obj["apiVersion"] = asked["desiredAPIVersion"]
			change(obj)
		}
		review["response"] = map[string]any{"uid": asked["uid"], "result": map[string]any{"status": "Success"}, "convertedObjects": objects}
		delete(review, "request")
		_ = json.NewEncoder(w).Encode(review)
	}
}

func TestConversionByWebhook(t *testing.T) {
	s := start(t)
	conversion := hook(t, convert(func(obj map[string]any) {
		obj["spec"].(map[string]any)["color"] = obj["apiVersion"].(string) + " made"
	}))
	want(t, s, 201, "POST", definitions, definition(conversion, ""))
	eventually(t, s, 200, widgets)
	want(t, s, 201, "POST", widgets, widget("v1", "a", `{"color":"red"}`))
	v2 := strings.Replace(widgets, "v1", "v2", 1)
	if got := want(t, s, 200, "GET", v2+"/a", ""); at(got, "spec", "color") != "example.com/v2 made" {
		t.Errorf("as v2: %v", got["spec"])
	}
	list := want(t, s, 200, "GET", v2, "")
	if items := list["items"].([]any); len(items) != 1 || at(items[0].(map[string]any), "apiVersion") != "example.com/v2" {
		t.Errorf("list as v2: %v", list)
	}
	want(t, s, 201, "POST", v2, widget("v2", "b", `{"color":"blue"}`))
	if got := want(t, s, 200, "GET", widgets+"/b", ""); at(got, "spec", "color") != "example.com/v1 made" {
		t.Errorf("stored: %v", got["spec"])
	}
}

func TestBadConversionsHarmOnlyTheirRequests(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter, map[string]any){
		"renames": convert(func(obj map[string]any) { obj["metadata"].(map[string]any)["name"] = "other" }),
		"keeps":   convert(func(obj map[string]any) { obj["apiVersion"] = "example.com/v1" }),
		"garbage": func(w http.ResponseWriter, _ map[string]any) { fmt.Fprint(w, "{]") },
		"refuses": func(w http.ResponseWriter, _ map[string]any) { http.Error(w, "no", http.StatusInternalServerError) },
		"wrong uid": func(w http.ResponseWriter, r map[string]any) {
			r["response"] = map[string]any{"uid": "x"}
			_ = json.NewEncoder(w).Encode(r)
		},
		"loses some": func(w http.ResponseWriter, r map[string]any) {
			r["response"] = map[string]any{"uid": r["request"].(map[string]any)["uid"], "result": map[string]any{"status": "Success"}}
			_ = json.NewEncoder(w).Encode(r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			want(t, s, 201, "POST", definitions, definition(hook(t, answer), ""))
			eventually(t, s, 200, widgets)
			want(t, s, 201, "POST", widgets, widget("v1", "a", `{"color":"red"}`))
			got := want(t, s, 500, "GET", strings.Replace(widgets, "v1", "v2", 1)+"/a", "")
			if text, _ := got["message"].(string); !strings.HasPrefix(text, "conversion webhook for example.com/v1, Kind=Widget") {
				t.Errorf("message %q", text)
			}
			want(t, s, 200, "GET", widgets+"/a", "")
		})
	}
}
