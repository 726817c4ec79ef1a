package openapi

import (
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/kube-openapi/pkg/common"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/openapi/operation"
)

// containers are all operations, by the name of the document that they stand in:
// "api/v1", "apis/apps", "apis/apps/v1", "version".
func containers(c *catalog.Catalog) map[string]common.RouteContainer {
	out := map[string]common.RouteContainer{}
	add := func(name string, all ...*operation.Operation) { out[name] = operation.Container("/"+name, all) }
	add("api", about("/api/", "getAPIVersions", "get available API versions", metav1.APIVersions{}))
	add("apis", about("/apis/", "getAPIVersions", "get available API versions", metav1.APIGroupList{}))
	for _, g := range c.Groups() {
		root := "apis/" + g.Name
		if g.Name == "" {
			root = "api"
		} else {
			add(root, about("/"+root+"/", "getAPIGroup", "get information of a group", metav1.APIGroup{}))
		}
		for _, v := range g.Versions {
			name := root + "/" + v
			all := []*operation.Operation{about("/"+name+"/", "getAPIResources", "get available resources", metav1.APIResourceList{})}
			for _, k := range c.InVersion(schema.GroupVersion{Group: g.Name, Version: v}) {
				all = append(all, kindOperations("/"+name, k)...)
			}
			add(name, all...)
		}
	}
	add("version", plain("/version/", "getCodeVersion", "get the version information for this server", "application/json", version.Info{}))
	add(".well-known/openid-configuration", plain("/.well-known/openid-configuration/", "getServiceAccountIssuerOpenIDConfiguration",
		"get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'", "application/json", ""))
	add("openid/v1/jwks", plain("/openid/v1/jwks/", "getServiceAccountIssuerOpenIDKeyset",
		"get service account issuer OpenID JSON Web Key Set (contains public token verification keys)", "application/jwk-set+json", ""))
	return out
}

func about(path, name, doc string, model any) *operation.Operation {
	return &operation.Operation{
		Method: http.MethodGet, Path: path, Name: name, Text: doc,
		Consumes: mediaTypes(), Produces: mediaTypes(),
		Answers: operation.Answers(model, http.StatusOK),
	}
}

func plain(path, name, doc, mediaType string, model any) *operation.Operation {
	return &operation.Operation{
		Method: http.MethodGet, Path: path, Name: name, Text: doc,
		Consumes: []string{"application/json"}, Produces: []string{mediaType},
		Answers: operation.Answers(model, http.StatusOK),
	}
}
