package api

import (
	"context"
	"encoding/json"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
)

// Custom is what generic code needs of the kind of a custom resource beyond
// what every kind has. It is immutable: a changed definition makes new kinds.
type Custom struct {
	// Definition is the name of the CustomResourceDefinition.
	Definition string
	// ListKind is the kind of lists.
	ListKind string
	// Preferred marks the version that stands first among those served of one
	// definition: whoever works on all objects of the API works on these.
	Preferred bool
	// Storage marks the kind under which the objects are stored. It may not be
	// served, and is then not in the catalogue.
	Storage bool
	// Terminating tells that the definition is being deleted: no new objects.
	Terminating func() bool
	// Coerce makes an object that was just decoded obey the schema: fields that
	// the schema does not know are dropped, and their paths returned where
	// strict asks for them; metadata is brought into form, or refused.
	Coerce func(obj Object, strict bool) (unknown []string, err error)
	// Restore is Coerce and defaulting for an object that comes from the store.
	// What is malformed is dropped. Where no webhook is needed for it the
	// object is converted to the storage version.
	Restore func(obj Object) error
	// Compact lets an object that is about to be shared have in common with
	// others what it has alike. Its content stays as it is.
	Compact func(obj Object)
	// Convert gives objects of any version of the definition as this kind, in
	// their order. It may call a webhook: it blocks until ctx ends, and its
	// errors are API status errors. It is nil where the conversion is pure:
	// then View does it. The objects given are not changed.
	Convert func(ctx context.Context, objs []Object) ([]Object, error)
	// Manager is the field manager of the kind's endpoint.
	Manager func(subresource string) (*managedfields.FieldManager, error)
	// Types merges objects of every version of the definition, as its schemas
	// say of lists and maps.
	Types func() (managedfields.TypeConverter, error)
}

// JSON encodes an object. The map of a custom resource goes to the encoder as it
// is: of a value that encodes itself the bytes are gone through once more.
func JSON(obj runtime.Object) ([]byte, error) {
	if u, isCustom := obj.(*unstructured.Unstructured); isCustom {
		return json.Marshal(u.Object)
	}
	return json.Marshal(obj)
}
