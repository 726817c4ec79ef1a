package networking

import (
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	pathvalidation "k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// IPAddress records who has an address; its name is the address.
func IPAddress() *api.Kind {
	return api.Spec[*networkingv1.IPAddress]{
		Group: group, Version: version, Name: "IPAddress",
		Resource: "ipaddresses", Singular: "ipaddress", ShortNames: []string{"ip"},
		New:     func() *networkingv1.IPAddress { return &networkingv1.IPAddress{} },
		NewList: func() runtime.Object { return &networkingv1.IPAddressList{} },
		Main: api.RulesOf[*networkingv1.IPAddress]{
			MetaAgain: true,
			Validate: func(a *networkingv1.IPAddress) field.ErrorList {
				return validateParent(a.Spec.ParentRef, field.NewPath("spec", "parentRef"))
			},
			ValidateUpdate: func(a, old *networkingv1.IPAddress) field.ErrorList {
				path := field.NewPath("spec", "parentRef")
				errs := validateParent(a.Spec.ParentRef, path)
				return append(errs, validate.Immutable(a.Spec.ParentRef, old.Spec.ParentRef, path)...)
			},
			NameRule: addressName,
		},
		Columns: []api.Column{
			column.Name(),
			column.Text("ParentRef", column.Doc(networkingv1.IPAddressSpec{}, "parentRef")),
		},
		// The third cell, an age, has no column, as upstream's has none.
		Row: func(a *networkingv1.IPAddress, now time.Time) []any {
			return []any{a.Name, parentCell(a.Spec.ParentRef), column.Since(a.CreationTimestamp, now)}
		},
		UnconditionalUpdate: true,
	}.Kind()
}

// addressName takes an address in its canonical form only.
func addressName(name string, _ bool) []string {
	var out []string
	for _, err := range validation.IsValidIP(nil, name) {
		out = append(out, err.Detail)
	}
	return out
}

func parentCell(r *networkingv1.ParentReference) string {
	if r == nil {
		return column.None
	}
	out := schema.GroupResource{Group: r.Group, Resource: r.Resource}.String()
	if r.Namespace != "" {
		out += "/" + r.Namespace
	}
	return out + "/" + r.Name
}

func validateParent(r *networkingv1.ParentReference, path *field.Path) field.ErrorList {
	if r == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	if r.Group != "" {
		errs = append(errs, validate.DNS1123Subdomain(r.Group, path.Child("group"))...)
	}
	for _, segment := range []struct {
		name, value string
		optional    bool
	}{{"resource", r.Resource, false}, {"name", r.Name, false}, {"namespace", r.Namespace, true}} {
		at := path.Child(segment.name)
		if segment.value == "" {
			if !segment.optional {
				errs = append(errs, field.Required(at, ""))
			}
			continue
		}
		errs = append(errs, validate.Each(pathvalidation.IsValidPathSegmentName(segment.value), segment.value, at)...)
	}
	return errs
}
