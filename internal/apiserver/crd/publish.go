package crd

import (
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	openapiv2 "k8s.io/apiextensions-apiserver/pkg/controller/openapi/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// publishing says in which OpenAPI version a schema is shown.
type publishing struct{ v2 bool }

func (p publishing) ref(name string) spec.Schema {
	prefix := "#/components/schemas/"
	if p.v2 {
		prefix = "#/definitions/"
	}
	return *spec.RefSchema(prefix + name)
}

// Names and texts that every published object has; the texts are those of the
// API's own types.
const (
	metaTypes     = "io.k8s.apimachinery.pkg.apis.meta.v1."
	apiVersionDoc = "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources"
	kindDoc       = "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"
	kindsKey      = "x-kubernetes-group-version-kind"
)

// published is the schema of the version as OpenAPI shows it: with what every
// object has, and without what the format does not know. A schema without
// structure is shown as any object.
func (v *versioned) published(p publishing) (*spec.Schema, error) {
	structural, err := v.publishable()
	if err != nil {
		return nil, err
	}
	out := &spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"object"}}}
	keeps := structural != nil && (structural.XPreserveUnknownFields || v.definition.crd.Spec.PreserveUnknownFields)
	if structural != nil && !(p.v2 && keeps) {
		if p.v2 {
			structural = openapiv2.ToStructuralOpenAPIV2(structural)
		}
		out = structural.ToKubeOpenAPI()
		out.SetProperty("metadata", p.described(metaTypes+"ObjectMeta", metav1.PartialObjectMetadata{}.SwaggerDoc()["metadata"]))
		addType(out, apiVersionDoc, kindDoc)
		p.embed(out)
	}
	out.AddExtension(kindsKey, []any{v.kindName(v.gvk.Kind)})
	if fields := v.publishedFields(); fields != nil && !p.v2 {
		out.AddExtension("x-kubernetes-selectable-fields", fields)
	}
	return out, nil
}

func (v *versioned) publishable() (*schema.Structural, error) {
	props, err := internalSchema(v.spec)
	if err != nil || props == nil || validation.SchemaHasInvalidTypes(props) {
		return nil, err
	}
	structural, err := schema.NewStructural(props)
	if err != nil || len(schema.ValidateStructural(nil, structural)) > 0 {
		return nil, nil // shown as any object
	}
	return structural.Unfold(), nil
}

func (v *versioned) publishedFields() []any {
	var out []any
	for _, f := range v.spec.SelectableFields {
		out = append(out, map[string]any{"fieldPath": strings.TrimPrefix(f.JSONPath, ".")})
	}
	return out
}

func (v *versioned) kindName(kind string) map[string]any {
	return map[string]any{"group": v.gvk.Group, "version": v.gvk.Version, "kind": kind}
}

// publishedList is the schema of lists.
func (v *versioned) publishedList(p publishing) *spec.Schema {
	k := v.kind
	text := "List of " + k.Resource + ". More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
	item := p.ref(v.modelName(v.gvk.Kind))
	out := new(spec.Schema).Typed("object", "").
		WithDescription(k.Custom.ListKind+" is a list of "+v.gvk.Kind).
		WithRequired("items").
		SetProperty("items", *spec.ArrayProperty(&item).WithDescription(text)).
		SetProperty("metadata", p.described(metaTypes+"ListMeta", metav1.PartialObjectMetadataList{}.SwaggerDoc()["metadata"]))
	addType(out, apiVersionDoc, kindDoc)
	out.AddExtension(kindsKey, []any{v.kindName(k.Custom.ListKind)})
	if fields := v.publishedFields(); fields != nil && !p.v2 {
		out.AddExtension("x-kubernetes-selectable-fields", fields)
	}
	return out
}

func (p publishing) described(name, text string) spec.Schema {
	out := p.ref(name)
	return *out.WithDescription(text)
}

func addType(s *spec.Schema, apiVersion, kind string) {
	s.SetProperty("apiVersion", *spec.StringProperty().WithDescription(apiVersion))
	s.SetProperty("kind", *spec.StringProperty().WithDescription(kind))
}

// embed shows in embedded resources what every object has.
func (p publishing) embed(s *spec.Schema) {
	if s == nil {
		return
	}
	for name, property := range s.Properties {
		p.embed(&property)
		s.Properties[name] = property
	}
	if s.Items != nil {
		p.embed(s.Items.Schema)
	}
	if s.AdditionalProperties != nil {
		p.embed(s.AdditionalProperties.Schema)
	}
	keeps, _ := s.Extensions.GetBool("x-kubernetes-preserve-unknown-fields")
	if embedded, _ := s.Extensions.GetBool("x-kubernetes-embedded-resource"); !embedded || keeps && p.v2 {
		return // clients would refuse unknown fields beside the ones named
	}
	addType(s, "apiVersion defines the versioned schema of this representation of an object. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
		"kind is a string value representing the type of this object. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds")
	s.SetProperty("metadata", p.described(metaTypes+"ObjectMeta", metav1.PartialObjectMetadata{}.SwaggerDoc()["metadata"]))
	for _, name := range []string{"kind", "apiVersion"} {
		if !slices.Contains(s.Required, name) {
			s.Required = append(s.Required, name)
		}
	}
}
