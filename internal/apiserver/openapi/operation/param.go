package operation

import (
	"reflect"
	"slices"
	"strings"

	"k8s.io/kube-openapi/pkg/common"
)

type param struct {
	name, text, of string
	in             common.ParameterKind
	required       bool
}

func (p param) Name() string               { return p.name }
func (p param) Description() string        { return p.text }
func (p param) Required() bool             { return p.required }
func (p param) Kind() common.ParameterKind { return p.in }
func (p param) DataType() string           { return p.of }
func (p param) AllowMultiple() bool        { return false }

// InPath is a part of the path.
func InPath(name, text string) common.Parameter {
	return param{name: name, text: text, of: "string", in: common.PathParameterKind, required: true}
}

// Name is the part of the path that names an object of a kind.
func Name(kind string) common.Parameter { return InPath("name", "name of the "+kind) }

// Namespace is the part of the path that names a namespace.
func Namespace() common.Parameter {
	return InPath("namespace", "object name and auth scope, such as for teams and projects")
}

// Pretty is the parameter that every operation on objects takes.
func Pretty() common.Parameter {
	return param{name: "pretty", of: "string", in: common.QueryParameterKind,
		text: "If 'true', then the output is pretty printed. Defaults to 'false' unless the user-agent indicates a browser or command-line HTTP tool (curl and wget)."}
}

// Documented is an options type that knows the texts of its fields.
type Documented interface{ SwaggerDoc() map[string]string }

// Options turns the simple fields of an options type into query parameters.
func Options(of Documented, except ...string) []common.Parameter {
	texts := of.SwaggerDoc()
	var out []common.Parameter
	t := reflect.TypeOf(of)
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		kind := dataType(t.Field(i).Type)
		if name == "" || kind == "" || slices.Contains(except, name) {
			continue
		}
		out = append(out, param{name: name, text: texts[name], of: kind, in: common.QueryParameterKind})
	}
	return out
}

// dataType is the JSON type of a query parameter; empty for fields that cannot
// be one. Lists are shown by their element, as upstream does.
func dataType(t reflect.Type) string {
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
