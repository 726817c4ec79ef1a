package apiserver

import (
	"net/http"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// deprecation is what a request for an old kind is warned of.
func deprecation(gvr schema.GroupVersionResource) string {
	switch gvr {
	case schema.GroupVersionResource{Version: "v1", Resource: "endpoints"}:
		return "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
	case schema.GroupVersionResource{Version: "v1", Resource: "componentstatuses"}:
		return "v1 ComponentStatus is deprecated in v1.19+"
	}
	return ""
}

func (s *Server) warnDeprecated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r)
		if c.info.Resource {
			if text := deprecation(c.info.GVR()); text != "" {
				if k := s.Catalog.Resource(c.info.GVR()); k != nil && len(methods(c, k)) > 0 && offersMethod(c, k) {
					c.warn(text)
				}
			}
		}
		next.ServeHTTP(w, r)
	})
}
