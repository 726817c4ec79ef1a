package testkit

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/controller/admissionpolicy"
)

// types are what admission policies are checked with.
func (c *Cluster) types() admissionpolicy.Types {
	return admissionpolicy.Types{Schema: c.documents.Schema, Kind: func(gvr schema.GroupVersionResource) schema.GroupVersionKind {
		if k := c.Catalog.Resource(gvr); k != nil {
			return k.GVK
		}
		return schema.GroupVersionKind{}
	}}
}
