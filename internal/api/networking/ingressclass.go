package networking

import (
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

// IngressClass names a controller that serves ingresses.
func IngressClass() *api.Kind {
	return api.Spec[*networkingv1.IngressClass]{
		Group: group, Version: version, Name: "IngressClass",
		Resource: "ingressclasses", Singular: "ingressclass",
		New:     func() *networkingv1.IngressClass { return &networkingv1.IngressClass{} },
		NewList: func() runtime.Object { return &networkingv1.IngressClassList{} },
		Main:    ingressClassRules(),
		Columns: []api.Column{
			column.Name(),
			column.Text("Controller", "Controller that is responsible for handling this class"),
			column.Text("Parameters", "A reference to a resource with additional parameters"),
			column.Age(),
		},
		Row:                 ingressClassRow,
		UnconditionalUpdate: true,
	}.Kind()
}

func ingressClassRow(c *networkingv1.IngressClass, now time.Time) []any {
	parameters := column.None
	if p := c.Spec.Parameters; p != nil {
		parameters = p.Kind
		if p.APIGroup != nil {
			parameters = schema.GroupKind{Group: *p.APIGroup, Kind: p.Kind}.String()
		}
		parameters += "/" + p.Name
	}
	return []any{c.Name, c.Spec.Controller, parameters, column.Since(c.CreationTimestamp, now)}
}
