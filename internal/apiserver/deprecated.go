package apiserver

import (
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
