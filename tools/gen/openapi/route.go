// Package openapi makes the OpenAPI documents of the built-in API from the
// catalogue of kinds and the definitions of their Go types.
//
// Paths, operation ids, parameters and extensions are those that upstream's
// server publishes, since clients are generated from them. The package is
// used only while documents are made: nothing of it is in the server.
package openapi

import (
	"github.com/emicklei/go-restful/v3"
	apiopenapi "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/kube-openapi/pkg/common"
)

// operationID puts group and version between the verb and the rest of an
// operation's name.
func operationID(r common.Route) (string, []string, error) {
	return apiopenapi.GetOperationIDAndTags(&restful.Route{Operation: r.OperationName(), Path: r.Path()})
}
