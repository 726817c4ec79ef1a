package openapi

import (
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Schema gives a built-in kind's whole schema, without references. It is made
// anew for each call. The error of a kind that is not known wraps
// resolver.ErrSchemaNotFound.
func (d *Documents) Schema(gvk schema.GroupVersionKind) (*spec.Schema, error) {
	name := "apis/" + gvk.GroupVersion().String()
	if gvk.Group == "" {
		name = "api/" + gvk.Version
	}
	raw, found, err := d.Read(name)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Components struct {
			Schemas map[string]*spec.Schema `json:"schemas"`
		} `json:"components"`
	}
	if found {
		if err := json.Unmarshal(raw, &doc); err != nil {
			return nil, fmt.Errorf("read the OpenAPI document %s: %w", name, err)
		}
	}
	const prefix = "#/components/schemas/"
	for name, s := range doc.Components.Schemas {
		if isOf(s, gvk) {
			return resolver.PopulateRefs(func(ref string) (*spec.Schema, bool) {
				s, has := doc.Components.Schemas[strings.TrimPrefix(ref, prefix)]
				return s, has
			}, prefix+name)
		}
	}
	return nil, fmt.Errorf("%s: %w", gvk, resolver.ErrSchemaNotFound)
}

// isOf tells whether a schema is that of a kind, by its extension.
func isOf(s *spec.Schema, gvk schema.GroupVersionKind) bool {
	kinds, _ := s.Extensions["x-kubernetes-group-version-kind"].([]any)
	for _, k := range kinds {
		if names, isMap := k.(map[string]any); isMap && names["group"] == gvk.Group && names["version"] == gvk.Version && names["kind"] == gvk.Kind {
			return true
		}
	}
	return false
}
