package openapi

import (
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"

	"github.com/knarr-io/knarr/internal/api/catalog"
)

// containers are all routes, by the name of the document that they stand in:
// "api/v1", "apis/apps", "apis/apps/v1", "version".
func containers(c *catalog.Catalog) map[string]container {
	out := map[string]container{}
	add := func(name string, routes ...*route) {
		out[name] = container{root: "/" + name, routes: routes}
	}
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
			routes := []*route{about("/"+name+"/", "getAPIResources", "get available resources", metav1.APIResourceList{})}
			for _, k := range c.InVersion(schema.GroupVersion{Group: g.Name, Version: v}) {
				routes = append(routes, kindRoutes("/"+name, k)...)
			}
			add(name, routes...)
		}
	}
	add("version", plain("/version/", "getCodeVersion", "get the version information for this server", "application/json", version.Info{}))
	add(".well-known/openid-configuration", plain("/.well-known/openid-configuration/", "getServiceAccountIssuerOpenIDConfiguration",
		"get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'", "application/json", ""))
	add("openid/v1/jwks", plain("/openid/v1/jwks/", "getServiceAccountIssuerOpenIDKeyset",
		"get service account issuer OpenID JSON Web Key Set (contains public token verification keys)", "application/jwk-set+json", ""))
	return out
}

func about(path, operation, doc string, model any) *route {
	return &route{
		method: http.MethodGet, path: path, operation: operation, doc: doc,
		consumes: mediaTypes(), produces: mediaTypes(),
		responses: []response{{http.StatusOK, "OK", model}},
	}
}

func plain(path, operation, doc, mediaType string, model any) *route {
	return &route{
		method: http.MethodGet, path: path, operation: operation, doc: doc,
		consumes: []string{"application/json"}, produces: []string{mediaType},
		responses: []response{{http.StatusOK, "OK", model}},
	}
}
