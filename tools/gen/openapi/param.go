package openapi

import (
	"reflect"
	"slices"
	"strings"

	"k8s.io/kube-openapi/pkg/common"
)

// param is a parameter of a route.
type param struct {
	name, description, dataType string
	kind                        common.ParameterKind
	required                    bool
}

var _ common.Parameter = param{}

func (p param) Name() string               { return p.name }
func (p param) Description() string        { return p.description }
func (p param) Required() bool             { return p.required }
func (p param) Kind() common.ParameterKind { return p.kind }
func (p param) DataType() string           { return p.dataType }
func (p param) AllowMultiple() bool        { return false }

func query(name, description, dataType string) common.Parameter {
	return param{name: name, description: description, dataType: dataType, kind: common.QueryParameterKind}
}

func inPath(name, description string) common.Parameter {
	return param{name: name, description: description, dataType: "string", kind: common.PathParameterKind, required: true}
}

func pretty() common.Parameter {
	return query("pretty", "If 'true', then the output is pretty printed. Defaults to 'false' unless the user-agent indicates a browser or command-line HTTP tool (curl and wget).", "string")
}

// documented is an options type that knows the documentation of its fields.
type documented interface {
	SwaggerDoc() map[string]string
}

// options turns the simple fields of an options type into query parameters.
func options(of documented, except ...string) []common.Parameter {
	var out []common.Parameter
	docs := of.SwaggerDoc()
	t := reflect.TypeOf(of)
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		dataType := dataTypeOf(f.Type)
		if name == "" || dataType == "" || slices.Contains(except, name) {
			continue
		}
		out = append(out, query(name, docs[name], dataType))
	}
	return out
}

// dataTypeOf is the JSON type of a query parameter; empty for fields that
// cannot be one. Lists are shown by their element, as upstream does.
func dataTypeOf(t reflect.Type) string {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint32, reflect.Uint64:
		return "integer"
	case reflect.String:
		return "string"
	case reflect.Struct:
		if t.Name() == "Time" {
			return "string"
		}
	}
	return ""
}
