package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	openapiv2 "github.com/google/gnostic-models/openapiv2"
	openapiv3 "github.com/google/gnostic-models/openapiv3"
	"google.golang.org/protobuf/proto"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiopenapi "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/client-go/kubernetes/scheme"
	builder2 "k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"github.com/knarr-io/knarr/internal/api/catalog"
)

// Document is one OpenAPI document in both of its encodings.
type Document struct {
	JSON, Protobuf []byte
}

// Generator makes the documents of a catalogue.
type Generator struct {
	catalog     *catalog.Catalog
	definitions map[string]common.OpenAPIDefinition
	namer       *apiopenapi.DefinitionNamer
	version     string
}

// New makes a generator. Definitions refer to each other by OpenAPI v3's
// prefix; version is what the documents' info says.
func New(c *catalog.Catalog, definitions map[string]common.OpenAPIDefinition, version string) *Generator {
	return &Generator{catalog: c, definitions: definitions, version: version,
		namer: apiopenapi.NewDefinitionNamer(scheme.Scheme, extensions(c))}
}

// extensions names the kinds that are not of k8s.io/api.
func extensions(c *catalog.Catalog) *runtime.Scheme {
	s := runtime.NewScheme()
	added := []func(*runtime.Scheme) error{apiextensionsv1.AddToScheme}
	if c.HasGroup(metricsv1beta1.GroupName) { // elsewhere it must not appear among the groups of common types
		added = append(added, metricsv1beta1.AddToScheme)
	}
	for _, add := range added {
		if err := add(s); err != nil {
			panic(err) // registering fixed types: fails only if the program is wrong
		}
	}
	return s
}

// V3 makes the OpenAPI v3 documents by name, such as "apis/apps/v1".
func (g *Generator) V3() (map[string]Document, error) {
	out := map[string]Document{}
	for name, c := range containers(g.catalog) {
		doc, err := g.v3(c)
		if err != nil {
			return nil, fmt.Errorf("document %s: %w", name, err)
		}
		scopeKinds(doc, name)
		raw, err := json.Marshal(doc)
		if err != nil {
			return nil, err
		}
		parsed, err := openapiv3.ParseDocument(raw)
		if err != nil {
			return nil, fmt.Errorf("document %s: %w", name, err)
		}
		binary, err := proto.MarshalOptions{Deterministic: true}.Marshal(parsed)
		if err != nil {
			return nil, err
		}
		out[name] = Document{JSON: raw, Protobuf: binary}
	}
	return out, nil
}

func (g *Generator) v3(c common.RouteContainer) (*spec3.OpenAPI, error) {
	definitions, err := clone(g.definitions)
	if err != nil {
		return nil, err
	}
	return builder3.BuildOpenAPISpecFromRoutes([]common.RouteContainer{c}, &common.OpenAPIV3Config{
		Info:                           g.info(),
		DefaultResponse:                &spec3.Response{ResponseProps: spec3.ResponseProps{Description: "Default Response."}},
		CommonResponses:                map[int]*spec3.Response{401: {ResponseProps: spec3.ResponseProps{Description: "Unauthorized"}}},
		Definitions:                    definitions,
		GetDefinitionName:              g.namer.GetDefinitionName,
		GetOperationIDAndTagsFromRoute: operationID,
		SecuritySchemes: spec3.SecuritySchemes{"BearerToken": &spec3.SecurityScheme{SecuritySchemeProps: spec3.SecuritySchemeProps{
			Type: "apiKey", Name: "authorization", In: "header", Description: "Bearer Token authentication",
		}}},
	})
}

func (g *Generator) info() *spec.Info {
	return &spec.Info{InfoProps: spec.InfoProps{Title: "Kubernetes", Version: g.version}}
}

// V2 makes the one OpenAPI v2 document.
func (g *Generator) V2() (Document, error) {
	swagger, err := g.swagger()
	if err != nil {
		return Document{}, err
	}
	swagger.Definitions = handler.PruneDefaults(swagger.Definitions)
	raw, err := swagger.MarshalJSON()
	if err != nil {
		return Document{}, err
	}
	parsed, err := openapiv2.ParseDocument(raw)
	if err != nil {
		return Document{}, err
	}
	binary, err := proto.MarshalOptions{Deterministic: true}.Marshal(parsed)
	return Document{JSON: raw, Protobuf: binary}, err
}

func (g *Generator) swagger() (*spec.Swagger, error) {
	all := containers(g.catalog)
	var routes []common.RouteContainer
	for _, name := range slices.Sorted(maps.Keys(all)) {
		routes = append(routes, all[name])
	}
	definitions, err := v2References(g.definitions)
	if err != nil {
		return nil, err
	}
	return builder2.BuildOpenAPISpecFromRoutes(routes, &common.Config{
		ProtocolList:                   []string{"https"},
		Info:                           g.info(),
		DefaultResponse:                &spec.Response{ResponseProps: spec.ResponseProps{Description: "Default Response."}},
		CommonResponses:                map[int]spec.Response{401: {ResponseProps: spec.ResponseProps{Description: "Unauthorized"}}},
		GetDefinitions:                 func(common.ReferenceCallback) map[string]common.OpenAPIDefinition { return definitions },
		GetDefinitionName:              g.namer.GetDefinitionName,
		GetOperationIDAndTagsFromRoute: operationID,
		SecurityDefinitions: &spec.SecurityDefinitions{"BearerToken": &spec.SecurityScheme{SecuritySchemeProps: spec.SecuritySchemeProps{
			Type: "apiKey", Name: "authorization", In: "header", Description: "Bearer Token authentication",
		}}},
		DefaultSecurity: []map[string][]string{{"BearerToken": {}}},
	})
}

// scopeKinds leaves of the kinds that every group has only the document's own
// and the core group's.
func scopeKinds(doc *spec3.OpenAPI, name string) {
	group, version := "", ""
	switch parts := strings.Split(name, "/"); {
	case len(parts) == 2 && parts[0] == "api":
		version = parts[1]
	case len(parts) == 3 && parts[0] == "apis":
		group, version = parts[1], parts[2]
	default:
		return
	}
	const key = "x-kubernetes-group-version-kind"
	for _, s := range doc.Components.Schemas {
		kinds, _ := s.Extensions[key].([]any)
		if len(kinds) < 2 {
			continue
		}
		var keep []any
		for _, k := range kinds {
			gvk, _ := k.(map[string]any)
			if gvk["kind"] != "DeleteOptions" && gvk["kind"] != "WatchEvent" ||
				gvk["group"] == "" && gvk["version"] == "v1" || gvk["group"] == group && gvk["version"] == version {
				keep = append(keep, k)
			}
		}
		s.Extensions[key] = keep
	}
}
