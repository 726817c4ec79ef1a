// Package operation describes operations of the API in the form that the
// builders of k8s.io/kube-openapi take. Two make documents of it: package crd
// while the server runs, and tools/gen for the built-in kinds. The package is
// pure and knows neither's paths.
package operation

import (
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/common"
)

// Operation is a method on a path.
type Operation struct {
	Method, Path string
	// Name is the operation's id without group and version.
	Name, Text string
	Params     []common.Parameter
	// Body is a value of the body's type; nil: the operation takes none.
	Body               any
	BodyOptional       bool
	Consumes, Produces []string
	Answers            []Answer
	// Action and Kind tell clients what the operation is about
	// (x-kubernetes-action, x-kubernetes-group-version-kind); an empty action:
	// neither is shown.
	Action string
	Kind   schema.GroupVersionKind
}

// Answer is one of success, with a value of its body's type.
type Answer struct {
	Code  int
	Text  string
	Model any
}

// Answers are those with the given codes, whose bodies are of one type.
func Answers(model any, codes ...int) []Answer {
	out := make([]Answer, len(codes))
	for i, code := range codes {
		out[i] = Answer{code, http.StatusText(code), model}
	}
	return out
}

// Route is the operation as builders take it.
func (o *Operation) Route() common.Route { return route{o} }

// Container is the set of operations below a root path, as builders take it.
func Container(root string, operations []*Operation) common.RouteContainer {
	return container{root, operations}
}

type container struct {
	root       string
	operations []*Operation
}

func (c container) RootPath() string                   { return c.root }
func (c container) PathParameters() []common.Parameter { return nil }

func (c container) Routes() []common.Route {
	out := make([]common.Route, len(c.operations))
	for i, o := range c.operations {
		out[i] = o.Route()
	}
	return out
}

type route struct{ o *Operation }

func (r route) Method() string             { return r.o.Method }
func (r route) Path() string               { return r.o.Path }
func (r route) OperationName() string      { return r.o.Name }
func (r route) Description() string        { return r.o.Text }
func (r route) Consumes() []string         { return r.o.Consumes }
func (r route) Produces() []string         { return r.o.Produces }
func (r route) RequestPayloadSample() any  { return r.o.Body }
func (r route) ResponsePayloadSample() any { return nil } // the answers tell

// Parameters are those of path and query, and the body as one more.
func (r route) Parameters() []common.Parameter {
	if r.o.Body == nil {
		return r.o.Params
	}
	body := param{name: "body", in: common.BodyParameterKind, required: !r.o.BodyOptional}
	return append([]common.Parameter{body}, r.o.Params...)
}

// Metadata are the extensions.
func (r route) Metadata() map[string]any {
	if r.o.Action == "" {
		return nil
	}
	return map[string]any{
		"x-kubernetes-action":             r.o.Action,
		"x-kubernetes-group-version-kind": metav1.GroupVersionKind(r.o.Kind),
	}
}

// StatusCodeResponses lists the successful answers.
func (r route) StatusCodeResponses() []common.StatusCodeResponse {
	out := make([]common.StatusCodeResponse, len(r.o.Answers))
	for i, a := range r.o.Answers {
		out[i] = answer{a}
	}
	return out
}

type answer struct{ a Answer }

func (a answer) Code() int       { return a.a.Code }
func (a answer) Message() string { return a.a.Text }
func (a answer) Model() any      { return a.a.Model }
