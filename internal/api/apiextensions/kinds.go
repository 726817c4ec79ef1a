// Package apiextensions declares CustomResourceDefinition, by which others add
// kinds of their own, and decides what its status says. It holds no state.
//
// The rules of a definition (structural schemas, CEL rules and their cost,
// names, conversion) are those of the library packages of
// k8s.io/apiextensions-apiserver, which check its internal form; field paths
// in errors are therefore those of that form. What the definition brings
// about, serving its custom resources, is internal/apiserver/crd.
package apiextensions

import (
	"time"

	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

// Kinds are the kinds of apiextensions.k8s.io/v1.
func Kinds() []*api.Kind { return []*api.Kind{CustomResourceDefinition()} }

// CustomResourceDefinition adds a kind to the API.
func CustomResourceDefinition() *api.Kind {
	return api.Spec[*v1.CustomResourceDefinition]{
		Group: v1.GroupName, Version: "v1", Name: "CustomResourceDefinition",
		Resource: "customresourcedefinitions", Singular: "customresourcedefinition", ShortNames: []string{"crd", "crds"},
		Categories: []string{"api-extensions"},
		New:        func() *v1.CustomResourceDefinition { return &v1.CustomResourceDefinition{} },
		NewList:    func() runtime.Object { return &v1.CustomResourceDefinitionList{} },
		Main:       rules(), Status: statusRules(),
		BeginDelete: beginDelete,
		Columns: []api.Column{
			column.Name(),
			{Name: "Created At", Type: "date", Description: column.Doc(metav1.ObjectMeta{}, "creationTimestamp")},
		},
		Row: row,
	}.Kind()
}

func row(d *v1.CustomResourceDefinition, _ time.Time) []any {
	return []any{d.Name, d.CreationTimestamp.UTC().Format(time.RFC3339)}
}
