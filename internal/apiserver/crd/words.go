package crd

import (
	"strings"

	"k8s.io/kube-openapi/pkg/common"

	"github.com/knarr-io/knarr/internal/apiserver/openapi/operation"
)

// called names an operation: verb, scope, kind, subresource.
func (v *versioned) called(verb, sub string) string {
	scope := ""
	if v.kind.Namespaced {
		scope = "Namespaced"
	}
	return verb + scope + v.gvk.Kind + operation.Title(sub)
}

// describe says what an operation does.
func describe(verb, sub, kind string) string {
	of := ""
	if sub != "" {
		of = " " + sub + " of"
	}
	switch verb {
	case "list":
		return "list objects of kind " + kind
	case "patch":
		return "partially update" + of + " the specified " + kind
	case "deletecollection":
		return "delete collection of " + kind
	case "create", "delete":
		return verb + of + operation.Article(kind) + kind
	}
	return verb + of + " the specified " + kind
}

// operationID puts group and version behind the verb of an operation's name.
// The tag is both, as clients' generators want it.
func operationID(r common.Route) (string, []string, error) {
	parts := strings.Split(strings.TrimPrefix(r.Path(), "/apis/"), "/")
	group, version := parts[0], parts[1]
	var camel strings.Builder
	for _, word := range strings.FieldsFunc(group, func(c rune) bool { return c == '.' || c == '-' }) {
		camel.WriteString(operation.Title(word))
	}
	name := r.OperationName()
	end := strings.IndexFunc(name, func(c rune) bool { return c >= 'A' && c <= 'Z' })
	if end < 0 {
		end = len(name)
	}
	verb := strings.TrimSuffix(name[:end], "collection")
	rest := name[end:]
	if verb != name[:end] {
		rest = "Collection" + rest
	}
	tag := camel.String()
	return verb + camel.String() + operation.Title(version) + rest, []string{strings.ToLower(tag[:min(1, len(tag))]) + tag[min(1, len(tag)):] + "_" + version}, nil
}
