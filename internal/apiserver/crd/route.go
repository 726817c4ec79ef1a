package crd

import (
	"net/http"
	"strings"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kube-openapi/pkg/common"

	"github.com/knarr-io/knarr/internal/apiserver/openapi/operation"
)

// shape names a type of a document without a Go type.
type shape struct{ name string }

// OpenAPIModelName is the name under which the definitions have the type.
func (m shape) OpenAPIModelName() string { return m.name }

// routes are all operations on the version's objects.
func (v *versioned) routes() []*operation.Operation {
	k := v.kind
	object, list := shape{v.modelName(v.gvk.Kind)}, shape{v.modelName(k.Custom.ListKind)}
	root := "/apis/" + v.gvk.GroupVersion().String() + "/"
	collection := root + k.Resource
	var out []*operation.Operation
	if k.Namespaced {
		all := v.route(http.MethodGet, collection, "list", "list", list)
		all.Name = "list" + v.gvk.Kind + "ForAllNamespaces"
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

func (v *versioned) route(method, path, action, verb string, of any) *operation.Operation {
	o := &operation.Operation{
		Method: method, Path: path, Action: action, Kind: v.gvk, Params: []common.Parameter{operation.Pretty()},
		Consumes: mediaTypes(), Produces: mediaTypes(), Answers: operation.Answers(of, http.StatusOK),
	}
	_, part, _ := strings.Cut(path, "{name}/")
	o.Name, o.Text = v.called(verb, part), describe(verb, part, v.gvk.Kind)
	if strings.Contains(path, "{namespace}") {
		o.Params = append(o.Params, operation.Namespace())
	}
	if strings.Contains(path, "{name}") {
		o.Params = append(o.Params, operation.Name(v.gvk.Kind))
	}
	refine(o, of)
	return o
}

func mediaTypes() []string { return []string{"application/json", "application/yaml"} }

// refine adds what depends on the operation: options, body and answers.
func refine(o *operation.Operation, of any) {
	options := func(of operation.Documented) { o.Params = append(o.Params, operation.Options(of)...) }
	switch o.Action {
	case "get":
		options(metav1.GetOptions{})
	case "list", "deletecollection":
		options(metav1.ListOptions{})
	case "put":
		options(metav1.UpdateOptions{})
		o.Body = of
		o.Answers = operation.Answers(of, http.StatusOK, http.StatusCreated)
	case "patch":
		options(metav1.PatchOptions{})
		o.Body = metav1.Patch{}
		o.Consumes = []string{string(types.JSONPatchType), string(types.MergePatchType), string(types.ApplyYAMLPatchType)}
	case "post":
		options(metav1.CreateOptions{})
		o.Body = of
		o.Answers = operation.Answers(of, http.StatusOK, http.StatusCreated, http.StatusAccepted)
	case "delete":
		options(metav1.DeleteOptions{})
		o.Body, o.BodyOptional = metav1.DeleteOptions{}, true
		o.Answers = operation.Answers(of, http.StatusOK, http.StatusAccepted)
	}
}
