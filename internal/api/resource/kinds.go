// Package resource declares the kinds of resource.k8s.io: devices that drivers
// offer on nodes, and claims of pods to them. It holds no state.
package resource

import (
	"time"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/validate"
)

const (
	group   = "resource.k8s.io"
	version = "v1"
)

// Kinds are the kinds of resource.k8s.io/v1.
func Kinds() []*api.Kind {
	return []*api.Kind{DeviceClass(), ResourceClaim(), ResourceClaimTemplate(), ResourceSlice()}
}

type (
	class    = *resourcev1.DeviceClass
	claim    = *resourcev1.ResourceClaim
	template = *resourcev1.ResourceClaimTemplate
	slice    = *resourcev1.ResourceSlice
)

// DeviceClass names a choice of devices that claims ask for.
func DeviceClass() *api.Kind {
	return api.Spec[class]{
		Group: group, Version: version, Name: "DeviceClass",
		Resource: "deviceclasses", Singular: "deviceclass",
		New:     func() class { return &resourcev1.DeviceClass{} },
		NewList: func() runtime.Object { return &resourcev1.DeviceClassList{} },
		Main: api.RulesOf[class]{
			MetaAgain:      true,
			NameRule:       validate.LongName,
			Validate:       func(c class) field.ErrorList { return validateClass(c, nil) },
			ValidateUpdate: validateClass,
			Generation:     func(c, old class) bool { return !equality.Semantic.DeepEqual(c.Spec, old.Spec) },
		},
		Columns: []api.Column{column.Name(), column.Age()},
		Row: func(c class, now time.Time) []any {
			return []any{c.Name, column.Since(c.CreationTimestamp, now)}
		},
		UnconditionalUpdate: true,
	}.Kind()
}

// ResourceClaim asks for devices.
func ResourceClaim() *api.Kind {
	return api.Spec[claim]{
		Group: group, Version: version, Name: "ResourceClaim",
		Resource: "resourceclaims", Singular: "resourceclaim", Namespaced: true,
		New:     func() claim { return &resourcev1.ResourceClaim{} },
		NewList: func() runtime.Object { return &resourcev1.ResourceClaimList{} },
		Main: api.RulesOf[claim]{
			MetaAgain: true,
			Default:   defaultClaim,
			PrepareCreate: func(c claim) {
				c.Status = resourcev1.ResourceClaimStatus{}
				dropEmpty(&c.Spec.Devices)
			},
			PrepareUpdate: func(c, old claim) {
				c.Status = old.Status
				if equality.Semantic.DeepEqual(c.Spec, old.Spec) {
					c.Spec = old.Spec // also where an empty list is
				}
			},
			Validate: func(c claim) field.ErrorList {
				return validateDevices(&c.Spec.Devices, field.NewPath("spec", "devices"))
			},
			ValidateUpdate: func(c, old claim) field.ErrorList { return unchanged(c.Spec, old.Spec) },
		},
		Status: &api.RulesOf[claim]{
			Default:        defaultClaim,
			PrepareUpdate:  prepareStatus,
			ValidateUpdate: validateStatus,
		},
		Columns: []api.Column{
			column.Name(),
			column.Text("State", "A summary of the current state (allocated, pending, reserved, etc.)."),
			column.Age(),
		},
		Row: func(c claim, now time.Time) []any {
			return []any{c.Name, state(c), column.Since(c.CreationTimestamp, now)}
		},
		UnconditionalUpdate: true,
	}.Kind()
}

// ResourceClaimTemplate is what claims of single pods are made from.
func ResourceClaimTemplate() *api.Kind {
	return api.Spec[template]{
		Group: group, Version: version, Name: "ResourceClaimTemplate",
		Resource: "resourceclaimtemplates", Singular: "resourceclaimtemplate", Namespaced: true,
		New:     func() template { return &resourcev1.ResourceClaimTemplate{} },
		NewList: func() runtime.Object { return &resourcev1.ResourceClaimTemplateList{} },
		Main: api.RulesOf[template]{
			MetaAgain:     true,
			Default:       func(t template) { defaultDevices(&t.Spec.Spec.Devices) },
			PrepareCreate: func(t template) { dropEmpty(&t.Spec.Spec.Devices) },
			PrepareUpdate: func(t, old template) {
				if equality.Semantic.DeepEqual(t.Spec, old.Spec) {
					t.Spec = old.Spec // also where an empty list is
				}
			},
			Validate: validateTemplate,
			ValidateUpdate: func(t, old template) field.ErrorList {
				return append(validateTemplate(t), unchanged(t.Spec, old.Spec)...)
			},
		},
		Columns: []api.Column{column.Name(), column.Age()},
		Row: func(t template, now time.Time) []any {
			return []any{t.Name, column.Since(t.CreationTimestamp, now)}
		},
		UnconditionalUpdate: true,
	}.Kind()
}
