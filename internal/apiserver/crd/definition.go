package crd

import (
	"slices"
	"sync"
	"sync/atomic"

	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/knarr-io/knarr/internal/api"
)

// definition is what one CustomResourceDefinition brings about: a kind for each
// version, all over the same stored objects. It is immutable
// but for the mark of its end and the field sets of its objects.
type definition struct {
	crd      *v1.CustomResourceDefinition
	versions []*versioned
	storage  *versioned
	// types merges applied configurations of every version.
	types func() (managedfields.TypeConverter, error)
	hook  *webhook  // nil without conversion by webhook
	sets  fieldSets // of all objects
	names v1.CustomResourceDefinitionNames
	// terminating is set once the definition is being deleted.
	terminating atomic.Bool
}

// versioned is one version of a definition.
type versioned struct {
	*schemas
	definition *definition
	spec       *v1.CustomResourceDefinitionVersion
	gvk        schema.GroupVersionKind
	kind       *api.Kind
	managers   sync.Map // endpoint -> func() (*managedfields.FieldManager, error)
}

// parts are what definitions are made with.
type parts struct {
	// meta are the schemas of the API's own types, by name; with Scale if
	// asked for.
	meta func(scale bool) (map[string]*spec.Schema, error)
	call caller
}

// define makes a definition. Its names are the accepted ones. crd is shared
// and stays as it is.
func define(crd *v1.CustomResourceDefinition, names v1.CustomResourceDefinitionNames, p parts) *definition {
	d := &definition{crd: crd, names: names}
	d.types = sync.OnceValues(func() (managedfields.TypeConverter, error) { return d.typeConverter(p.meta) })
	if c := crd.Spec.Conversion; c != nil && c.Strategy == v1.WebhookConverter {
		d.hook = newWebhook(d, c.Webhook, p.call)
	}
	for i := range crd.Spec.Versions {
		spec := &crd.Spec.Versions[i]
		v := &versioned{
			schemas: compile(spec, crd.Spec.PreserveUnknownFields), definition: d, spec: spec,
			gvk: schema.GroupVersionKind{Group: crd.Spec.Group, Version: spec.Name, Kind: names.Kind},
		}
		d.versions = append(d.versions, v)
		if spec.Storage {
			d.storage = v
		}
	}
	preferred := d.served()
	for _, v := range d.versions {
		v.kind = v.declare(names, len(preferred) > 0 && preferred[0] == v)
	}
	for _, v := range d.versions {
		v.kind.View = v.view()
	}
	return d
}

// served are the served versions in order of preference: stable before beta
// before alpha, newer before older.
func (d *definition) served() []*versioned {
	var out []*versioned
	for _, v := range d.versions {
		if v.spec.Served {
			out = append(out, v)
		}
	}
	slices.SortStableFunc(out, func(a, b *versioned) int {
		return version.CompareKubeAwareVersionStrings(b.spec.Name, a.spec.Name)
	})
	return out
}

// version finds a version by its name; nil where there is none.
func (d *definition) version(name string) *versioned {
	for _, v := range d.versions {
		if v.spec.Name == name {
			return v
		}
	}
	return nil
}
