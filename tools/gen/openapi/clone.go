package openapi

import (
	"encoding/json"
	"maps"
	"strings"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

const (
	v3Prefix = "#/components/schemas/"
	v2Prefix = "#/definitions/"
)

// clone copies the definitions: builders change what they are given.
func clone(in map[string]common.OpenAPIDefinition) (map[string]common.OpenAPIDefinition, error) {
	return rewrite(in, func(text string) string { return text })
}

// v2References is clone with references in OpenAPI v2's form.
func v2References(in map[string]common.OpenAPIDefinition) (map[string]common.OpenAPIDefinition, error) {
	return rewrite(in, func(text string) string {
		return strings.ReplaceAll(text, `"$ref":"`+v3Prefix, `"$ref":"`+v2Prefix)
	})
}

func rewrite(in map[string]common.OpenAPIDefinition, change func(string) string) (map[string]common.OpenAPIDefinition, error) {
	out := make(map[string]common.OpenAPIDefinition, len(in))
	for name, d := range in {
		s, err := rewriteSchema(d.Schema, change)
		if err != nil {
			return nil, err
		}
		if v2, ok := d.Schema.Extensions[common.ExtensionV2Schema].(spec.Schema); ok {
			if v2, err = rewriteSchema(v2, change); err != nil {
				return nil, err
			}
			s.Extensions = maps.Clone(s.Extensions)
			s.Extensions[common.ExtensionV2Schema] = v2
		}
		out[name] = common.OpenAPIDefinition{Schema: s, Dependencies: d.Dependencies}
	}
	return out, nil
}

func rewriteSchema(s spec.Schema, change func(string) string) (spec.Schema, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return s, err
	}
	var out spec.Schema
	return out, json.Unmarshal([]byte(change(string(raw))), &out)
}
