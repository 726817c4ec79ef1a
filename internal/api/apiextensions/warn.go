package apiextensions

import (
	"fmt"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	schemavalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// warn tells of formats in schemas that no check knows, where they are new.
func warn(d, old *v1.CustomResourceDefinition, isUpdate bool) []string {
	var known []string
	if isUpdate {
		known = unknownFormats(old)
	}
	var out []string
	for _, format := range unknownFormats(d) {
		if !slices.Contains(known, format) {
			out = append(out, fmt.Sprintf("unrecognized format %q", format))
		}
	}
	return out
}

func unknownFormats(d *v1.CustomResourceDefinition) []string {
	in, err := Internal(d)
	if err != nil {
		return nil
	}
	var out []string
	if in.Spec.Validation != nil {
		out = append(out, formatsOf(in.Spec.Validation.OpenAPIV3Schema)...)
	}
	for _, v := range in.Spec.Versions {
		if v.Schema != nil {
			out = append(out, formatsOf(v.Schema.OpenAPIV3Schema)...)
		}
	}
	return out
}

func formatsOf(s *apiextensions.JSONSchemaProps) []string {
	if s == nil {
		return nil
	}
	version := environment.DefaultCompatibilityVersion()
	var out []string
	validation.SchemaHas(s, func(s *apiextensions.JSONSchemaProps) bool {
		if s.Format != "" {
			at := &spec.Schema{SchemaProps: spec.SchemaProps{Format: s.Format, Type: []string{s.Type}}}
			out = append(out, schemavalidation.GetUnrecognizedFormats(at, version)...)
		}
		return false
	})
	return out
}
