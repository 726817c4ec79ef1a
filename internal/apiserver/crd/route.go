package crd

import (
	"net/http"
	"reflect"
	"strings"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kube-openapi/pkg/common"
)

// route is one operation as OpenAPI shows it.
type route struct {
	v                             *versioned
	method, path, operation, text string
	action                        string
	consumes                      []string
	params                        []common.Parameter
	body                          any
	bodyOptional                  bool
	answers                       []answer
}

type answer struct {
	code  int
	text  string
	model any
}

func (a answer) Code() int       { return a.code }
func (a answer) Message() string { return a.text }
func (a answer) Model() any      { return a.model }

func (r *route) Method() string             { return r.method }
func (r *route) Path() string               { return r.path }
func (r *route) OperationName() string      { return r.operation }
func (r *route) Description() string        { return r.text }
func (r *route) Consumes() []string         { return r.consumes }
func (r *route) Produces() []string         { return []string{"application/json", "application/yaml"} }
func (r *route) RequestPayloadSample() any  { return r.body }
func (r *route) ResponsePayloadSample() any { return r.answers[0].model }

// Metadata tells clients what the operation is about.
func (r *route) Metadata() map[string]any {
	gvk := r.v.gvk
	return map[string]any{
		"x-kubernetes-action":             r.action,
		"x-kubernetes-group-version-kind": metav1.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind},
	}
}

// Parameters are those of path and query, and the body as one more.
func (r *route) Parameters() []common.Parameter {
	if r.body == nil {
		return r.params
	}
	return append([]common.Parameter{param{name: "body", in: common.BodyParameterKind, required: !r.bodyOptional}}, r.params...)
}

// StatusCodeResponses lists the successful answers.
func (r *route) StatusCodeResponses() []common.StatusCodeResponse {
	out := make([]common.StatusCodeResponse, len(r.answers))
	for i, a := range r.answers {
		out[i] = a
	}
	return out
}

// container is the set of routes of a version.
type container struct{ routes []*route }

func (container) RootPath() string                   { return "" }
func (container) PathParameters() []common.Parameter { return nil }

func (c container) Routes() []common.Route {
	out := make([]common.Route, len(c.routes))
	for i, r := range c.routes {
		out[i] = r
	}
	return out
}

// param is a parameter of a route.
type param struct {
	name, text, of string
	in             common.ParameterKind
	required       bool
}

func (p param) Name() string               { return p.name }
func (p param) Description() string        { return p.text }
func (p param) Required() bool             { return p.required }
func (p param) Kind() common.ParameterKind { return p.in }
func (p param) DataType() string           { return p.of }
func (p param) AllowMultiple() bool        { return false }

// documented is an options type that knows the texts of its fields.
type documented interface{ SwaggerDoc() map[string]string }

// options turns the simple fields of an options type into query parameters.
func options(of documented) []common.Parameter {
	texts := of.SwaggerDoc()
	var out []common.Parameter
	t := reflect.TypeOf(of)
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if kind := dataType(t.Field(i).Type); name != "" && kind != "" {
			out = append(out, param{name: name, text: texts[name], of: kind, in: common.QueryParameterKind})
		}
	}
	return out
}

func dataType(t reflect.Type) string {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "integer"
	case reflect.String:
		return "string"
	}
	return ""
}

// shape names a type of a document without a Go type.
type shape struct{ name string }

// OpenAPIModelName is the name under which the definitions have the type.
func (m shape) OpenAPIModelName() string { return m.name }

// routes are all operations on the version's objects.
func (v *versioned) routes() []*route {
	k := v.kind
	object, list := shape{v.modelName(v.gvk.Kind)}, shape{v.modelName(k.Custom.ListKind)}
	root := "/apis/" + v.gvk.GroupVersion().String() + "/"
	collection := root + k.Resource
	var out []*route
	if k.Namespaced {
		all := v.route(http.MethodGet, collection, "list", "list", list)
		all.operation = "list" + v.gvk.Kind + "ForAllNamespaces"
		out = append(out, all)
		collection = root + "namespaces/{namespace}/" + k.Resource
	}
	out = append(out, v.route(http.MethodGet, collection, "list", "list", list),
		v.route(http.MethodPost, collection, "post", "create", object),
		v.route(http.MethodDelete, collection, "deletecollection", "deletecollection", metav1.Status{}),
		v.route(http.MethodGet, collection+"/{name}", "get", "read", object),
		v.route(http.MethodPut, collection+"/{name}", "put", "replace", object),
		v.route(http.MethodDelete, collection+"/{name}", "delete", "delete", metav1.Status{}),
		v.route(http.MethodPatch, collection+"/{name}", "patch", "patch", object))
	for _, sub := range v.subresources(object) {
		at := collection + "/{name}/" + sub.name
		out = append(out, v.route(http.MethodGet, at, "get", "read", sub.model),
			v.route(http.MethodPut, at, "put", "replace", sub.model), v.route(http.MethodPatch, at, "patch", "patch", sub.model))
	}
	return out
}

type sub struct {
	name  string
	model any
}

func (v *versioned) subresources(object shape) []sub {
	var out []sub
	if v.hasStatus() {
		out = append(out, sub{"status", object})
	}
	if v.scale() != nil {
		out = append(out, sub{"scale", autoscalingv1.Scale{}})
	}
	return out
}

func (v *versioned) route(method, path, action, verb string, of any) *route {
	r := &route{
		v: v, method: method, path: path, action: action, consumes: []string{"application/json", "application/yaml"},
		params: []common.Parameter{param{name: "pretty", of: "string", in: common.QueryParameterKind,
			text: "If 'true', then the output is pretty printed. Defaults to 'false' unless the user-agent indicates a browser or command-line HTTP tool (curl and wget)."}},
		answers: []answer{{http.StatusOK, "OK", of}},
	}
	_, part, _ := strings.Cut(path, "{name}/")
	r.operation, r.text = v.operation(verb, part), describe(verb, part, v.gvk.Kind)
	if strings.Contains(path, "{namespace}") {
		r.params = append(r.params, param{name: "namespace", text: "object name and auth scope, such as for teams and projects", of: "string", in: common.PathParameterKind, required: true})
	}
	if strings.Contains(path, "{name}") {
		r.params = append(r.params, param{name: "name", text: "name of the " + v.gvk.Kind, of: "string", in: common.PathParameterKind, required: true})
	}
	r.refine(of)
	return r
}

// refine adds what depends on the operation: options, body and answers.
func (r *route) refine(of any) {
	switch r.action {
	case "get":
		r.params = append(r.params, options(metav1.GetOptions{})...)
	case "list", "deletecollection":
		r.params = append(r.params, options(metav1.ListOptions{})...)
	case "put":
		r.params = append(r.params, options(metav1.UpdateOptions{})...)
		r.body, r.answers = of, append(r.answers, answer{http.StatusCreated, "Created", of})
	case "patch":
		r.params = append(r.params, options(metav1.PatchOptions{})...)
		r.body = metav1.Patch{}
		r.consumes = []string{string(types.JSONPatchType), string(types.MergePatchType), string(types.ApplyYAMLPatchType)}
	case "post":
		r.params = append(r.params, options(metav1.CreateOptions{})...)
		r.body, r.answers = of, append(r.answers, answer{http.StatusCreated, "Created", of}, answer{http.StatusAccepted, "Accepted", of})
	case "delete":
		r.params = append(r.params, options(metav1.DeleteOptions{})...)
		r.body, r.bodyOptional, r.answers = metav1.DeleteOptions{}, true, append(r.answers, answer{http.StatusAccepted, "Accepted", of})
	}
}
