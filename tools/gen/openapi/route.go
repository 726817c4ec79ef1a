// Package openapi makes the OpenAPI documents of the built-in API from the
// catalogue of kinds and the definitions of their Go types.
//
// Paths, operation ids, parameters and extensions are those that upstream's
// server publishes, since clients are generated from them. The package is
// used only while documents are made: nothing of it is in the server.
package openapi

import (
	"github.com/emicklei/go-restful/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiopenapi "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/kube-openapi/pkg/common"
)

// route is one operation: a method on a path.
type route struct {
	method, path, operation, doc string

	params             []common.Parameter
	consumes, produces []string
	body               any
	bodyOptional       bool
	responses          []response

	action string // x-kubernetes-action; empty: neither action nor kind is shown
	gvk    schema.GroupVersionKind
}

var _ common.Route = (*route)(nil)

func (r *route) Method() string             { return r.method }
func (r *route) Path() string               { return r.path }
func (r *route) OperationName() string      { return r.operation }
func (r *route) Description() string        { return r.doc }
func (r *route) Consumes() []string         { return r.consumes }
func (r *route) Produces() []string         { return r.produces }
func (r *route) RequestPayloadSample() any  { return r.body }
func (r *route) ResponsePayloadSample() any { return nil }

// Parameters are those of path and query, and the body as one more.
func (r *route) Parameters() []common.Parameter {
	if r.body == nil {
		return r.params
	}
	body := param{name: "body", kind: common.BodyParameterKind, required: !r.bodyOptional}
	return append([]common.Parameter{body}, r.params...)
}

// Metadata are the extensions that tell clients what the operation is about.
func (r *route) Metadata() map[string]any {
	if r.action == "" {
		return nil
	}
	return map[string]any{
		"x-kubernetes-action": r.action,
		"x-kubernetes-group-version-kind": metav1.GroupVersionKind{
			Group: r.gvk.Group, Version: r.gvk.Version, Kind: r.gvk.Kind,
		},
	}
}

// StatusCodeResponses lists what the operation answers when it succeeds.
func (r *route) StatusCodeResponses() []common.StatusCodeResponse {
	var out []common.StatusCodeResponse
	for _, s := range r.responses {
		out = append(out, s)
	}
	return out
}

// response is a successful answer.
type response struct {
	code    int
	message string
	model   any
}

func (r response) Code() int       { return r.code }
func (r response) Message() string { return r.message }
func (r response) Model() any      { return r.model }

// container is the set of routes below one root path.
type container struct {
	root   string
	routes []*route
}

var _ common.RouteContainer = container{}

func (c container) RootPath() string                   { return c.root }
func (c container) PathParameters() []common.Parameter { return nil }

func (c container) Routes() []common.Route {
	out := make([]common.Route, len(c.routes))
	for i, r := range c.routes {
		out[i] = r
	}
	return out
}

// operationID puts group and version between the verb and the rest of an
// operation's name.
func operationID(r common.Route) (string, []string, error) {
	return apiopenapi.GetOperationIDAndTags(&restful.Route{Operation: r.OperationName(), Path: r.Path()})
}
