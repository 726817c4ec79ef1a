package openapi

import (
	"encoding/json"
	"fmt"
	"maps"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/schemaconv"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/knarr-io/knarr/internal/apiserver/openapi/types"
)

// Types are the merge types of everything that the documents describe: what
// server-side apply must know of each field, without its words.
func (g *Generator) Types(documents map[string]Document) ([]byte, error) {
	schemas := map[string]*spec.Schema{}
	for name, doc := range documents {
		var parsed spec3.OpenAPI
		if err := json.Unmarshal(doc.JSON, &parsed); err != nil {
			return nil, fmt.Errorf("reading document %s: %w", name, err)
		}
		if parsed.Components != nil {
			maps.Copy(schemas, parsed.Components.Schemas)
		}
	}
	merged, err := schemaconv.ToSchemaFromOpenAPI(schemas, false)
	if err != nil {
		return nil, fmt.Errorf("converting schemas to merge types: %w", err)
	}
	roots := map[schema.GroupVersionKind]string{
		autoscalingv1.SchemeGroupVersion.WithKind("Scale"): util.GetCanonicalTypeName(autoscalingv1.Scale{}),
	}
	for _, k := range g.catalog.Kinds() {
		roots[k.GVK] = util.GetCanonicalTypeName(k.New())
	}
	return types.Marshal(types.Set{Schema: merged, Roots: roots})
}
