package crd

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/knarr-io/knarr/internal/apiserver/openapi/operation"
)

// document is the OpenAPI document of one group and version.
type document struct {
	versions []*versioned
	meta     func(scale bool) (map[string]*spec.Schema, error)
}

const docTitle, docVersion = "Kubernetes CRD Swagger", "v0.1.0"

func info() *spec.Info {
	return &spec.Info{InfoProps: spec.InfoProps{Title: docTitle, Version: docVersion}}
}

// v3 builds the document in OpenAPI v3.
func (d document) v3() (*spec3.OpenAPI, error) {
	definitions, err := d.definitions(publishing{})
	if err != nil {
		return nil, err
	}
	var out *spec3.OpenAPI
	for _, v := range d.versions {
		one, err := builder3.BuildOpenAPISpecFromRoutes(containers(v), &common.OpenAPIV3Config{
			Info:                           info(),
			CommonResponses:                map[int]*spec3.Response{401: {ResponseProps: spec3.ResponseProps{Description: "Unauthorized"}}},
			Definitions:                    definitions,
			GetDefinitionName:              sameName,
			GetOperationIDAndTagsFromRoute: operationID,
		})
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = one
			continue
		}
		maps.Copy(out.Paths.Paths, one.Paths.Paths)
		maps.Copy(out.Components.Schemas, one.Components.Schemas)
	}
	return out, nil
}

// v2 builds the document in OpenAPI v2.
func (d document) v2() (*spec.Swagger, error) {
	definitions, err := d.definitions(publishing{v2: true})
	if err != nil {
		return nil, err
	}
	var out *spec.Swagger
	for _, v := range d.versions {
		one, err := builder.BuildOpenAPISpecFromRoutes(containers(v), &common.Config{
			ProtocolList:                   []string{"https"},
			Info:                           info(),
			CommonResponses:                map[int]spec.Response{401: {ResponseProps: spec.ResponseProps{Description: "Unauthorized"}}},
			GetDefinitions:                 func(common.ReferenceCallback) map[string]common.OpenAPIDefinition { return definitions },
			GetDefinitionName:              sameName,
			GetOperationIDAndTagsFromRoute: operationID,
		})
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = one
			continue
		}
		maps.Copy(out.Paths.Paths, one.Paths.Paths)
		maps.Copy(out.Definitions, one.Definitions)
	}
	return out, nil
}

func sameName(name string) (string, spec.Extensions) { return name, nil }

// definitions are the schemas of the versions and of the API's own types.
func (d document) definitions(p publishing) (map[string]common.OpenAPIDefinition, error) {
	meta, err := d.meta(slices.ContainsFunc(d.versions, func(v *versioned) bool { return v.scale() != nil }))
	if err != nil {
		return nil, err
	}
	out := make(map[string]common.OpenAPIDefinition, len(meta)+2*len(d.versions))
	for name, s := range meta {
		if p.v2 {
			if s, err = withV2References(s); err != nil {
				return nil, err
			}
		}
		out[name] = common.OpenAPIDefinition{Schema: *s, Dependencies: references(s)}
	}
	for _, v := range d.versions {
		s, err := v.published(p)
		if err != nil {
			return nil, err
		}
		out[v.modelName(v.gvk.Kind)] = common.OpenAPIDefinition{Schema: *s, Dependencies: []string{metaTypes + "ObjectMeta"}}
		out[v.modelName(v.kind.Custom.ListKind)] = common.OpenAPIDefinition{
			Schema: *v.publishedList(p), Dependencies: []string{v.modelName(v.gvk.Kind), metaTypes + "ListMeta"},
		}
	}
	return out, nil
}

func withV2References(s *spec.Schema) (*spec.Schema, error) {
	raw, err := s.MarshalJSON()
	if err != nil {
		return nil, err
	}
	out := &spec.Schema{}
	return out, out.UnmarshalJSON([]byte(strings.ReplaceAll(string(raw), `"#/components/schemas/`, `"#/definitions/`)))
}

// references are the types that a schema of the API's own types refers to.
func references(s *spec.Schema) []string {
	raw, err := s.MarshalJSON()
	if err != nil {
		return nil
	}
	var out []string
	for _, part := range strings.Split(string(raw), `"$ref":"`)[1:] {
		ref, _, _ := strings.Cut(part, `"`)
		out = append(out, ref[strings.LastIndexByte(ref, '/')+1:])
	}
	return out
}

// containers are the operations of one kind. Those of each are built by
// themselves: the library refuses two of one name, which the status of a Widget
// and a WidgetStatus have.
func containers(v *versioned) []common.RouteContainer {
	return []common.RouteContainer{operation.Container("", v.routes())}
}
