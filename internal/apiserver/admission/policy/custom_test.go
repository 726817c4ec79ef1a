package policy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	boats  = "/apis/example.com/v1/namespaces/default/boats"
	limits = "/apis/example.com/v1/namespaces/default/limits"
)

// define makes a definition whose objects have a spec of these properties, and
// waits until they are served.
func (w world) define(t *testing.T, plural, kind, properties, path string) {
	t.Helper()
	w.Must(t, http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", `{"metadata":{"name":"`+plural+`.example.com"},"spec":{"group":"example.com",
"scope":"Namespaced","names":{"plural":"`+plural+`","kind":"`+kind+`"},"versions":[{"name":"v1","served":true,"storage":true,"subresources":{"status":{}},
"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":{`+properties+`}},"status":{"type":"object","properties":{"afloat":{"type":"boolean"}}}}}}}]}}`, http.StatusCreated)
	w.AwaitServed(t, path)
}

func boat(name, spec string) string {
	return `{"apiVersion":"example.com/v1","kind":"Boat","metadata":{"name":"` + name + `"},"spec":` + spec + `}`
}

// Policies judge and change custom resources as they do built-in ones, their
// status too, with parameters that are custom resources.
func TestPoliciesOnCustomResources(t *testing.T) {
	w := newWorld(t)
	w.ServeCustom(t)
	w.define(t, "limits", "Limit", `"size":{"type":"integer"}`, limits)
	w.define(t, "boats", "Boat", `"size":{"type":"integer"},"flag":{"type":"string"},"crew":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["name"],
"items":{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"rank":{"type":"string"}}}}`, boats)
	const match = `"matchConstraints":{"resourceRules":[{"apiGroups":["example.com"],"apiVersions":["v1"],"operations":["CREATE","UPDATE"],"resources":["boats","boats/status"]}]}`
	w.Must(t, http.MethodPost, group+"validatingadmissionpolicies", `{"metadata":{"name":"size"},"spec":{`+match+`,"paramKind":{"apiVersion":"example.com/v1","kind":"Limit"},
"variables":[{"name":"size","expression":"object.spec.?size.orValue(0)"}],
"validations":[{"expression":"variables.size <= params.spec.size","messageExpression":"'larger than ' + string(params.spec.size)"},
{"expression":"!has(object.status) || !object.status.afloat || variables.size > 0","message":"a boat of no size does not float"}]}}`, http.StatusCreated)
	w.Must(t, http.MethodPost, group+"validatingadmissionpolicybindings",
		`{"metadata":{"name":"size"},"spec":{"policyName":"size","validationActions":["Deny"],"paramRef":{"name":"harbour","parameterNotFoundAction":"Allow"}}}`, http.StatusCreated)
	w.Must(t, http.MethodPost, group+"mutatingadmissionpolicies", `{"metadata":{"name":"flag"},"spec":{`+strings.Replace(match, `,"boats/status"`, "", 1)+`,"reinvocationPolicy":"Never",
"mutations":[{"patchType":"ApplyConfiguration","applyConfiguration":{"expression":"Object{spec: Object.spec{flag: 'raven', crew: [Object.spec.crew{name: 'mate', rank: 'second'}]}}"}}]}}`, http.StatusCreated)
	w.Must(t, http.MethodPost, group+"mutatingadmissionpolicybindings", `{"metadata":{"name":"flag"},"spec":{"policyName":"flag"}}`, http.StatusCreated)

	made := w.Must(t, http.MethodPost, boats, boat("first", `{"size":99,"crew":[{"name":"cook"}]}`), http.StatusCreated)
	want := map[string]any{"size": 99.0, "flag": "raven", "crew": []any{map[string]any{"name": "cook"}, map[string]any{"name": "mate", "rank": "second"}}}
	if diff := cmp.Diff(want, made.Object["spec"]); diff != "" {
		t.Error(diff)
	}
	w.Must(t, http.MethodPost, limits, `{"apiVersion":"example.com/v1","kind":"Limit","metadata":{"name":"harbour"},"spec":{"size":10}}`, http.StatusCreated)
	refused := w.Must(t, http.MethodPost, boats, boat("second", `{"size":11}`), http.StatusUnprocessableEntity)
	if text, _, _ := unstructured.NestedString(refused.Object, "message"); !strings.HasSuffix(text, "denied request: larger than 10") {
		t.Errorf("refused with %q", text)
	}
	w.Must(t, http.MethodPost, boats, boat("third", `{"size":0}`), http.StatusCreated)
	refused = w.Must(t, http.MethodPatch, boats+"/third/status", `{"status":{"afloat":true}}`, http.StatusUnprocessableEntity, "Content-Type", "application/merge-patch+json")
	if text, _, _ := unstructured.NestedString(refused.Object, "message"); !strings.HasSuffix(text, "a boat of no size does not float") {
		t.Errorf("refused with %q", text)
	}
}
