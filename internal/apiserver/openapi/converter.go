package openapi

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	smd "sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/structured-merge-diff/v6/value"

	"github.com/knarr-io/knarr/internal/apiserver/openapi/types"
)

// TypeConverter turns objects of a group's version into typed values, whose
// lists and maps merge as the API's types say, and back. All converters share
// one set of types. It is an error if the version has no kind.
func (d *Documents) TypeConverter(gv schema.GroupVersion) (managedfields.TypeConverter, error) {
	set, err := d.types()
	if err != nil {
		return nil, fmt.Errorf("merge types of %s: %w", gv, err)
	}
	for gvk := range set.Roots {
		if gvk.GroupVersion() == gv {
			return converter{set}, nil
		}
	}
	return nil, fmt.Errorf("no merge types for %s", gv)
}

// converter finds an object's type by its kind; objects that do not carry
// their kind (those of the cache) by their Go type.
type converter struct{ set types.Set }

var _ managedfields.TypeConverter = converter{}

// modeled is what the Go types of k8s.io/api know of themselves.
type modeled interface{ OpenAPIModelName() string }

// object is the value of an object of a Go type, which it came from.
type object struct {
	value.Value
	from runtime.Object
}

// ObjectToTyped gives an object its type; it is not changed. It is checked
// against the type, unless duplicates are allowed and it is of a Go type: what
// those hold is of the right form, and field managers ask so for both objects
// of each update.
func (c converter) ObjectToTyped(obj runtime.Object, opts ...typed.ValidationOptions) (*typed.TypedValue, error) {
	gvk := obj.GetObjectKind().GroupVersionKind()
	name, ok := c.set.Roots[gvk]
	if !ok {
		m, isModeled := obj.(modeled)
		if !isModeled {
			return nil, fmt.Errorf("no corresponding type for %v", gvk)
		}
		name = m.OpenAPIModelName()
	}
	parser := typed.ParseableType{TypeRef: smd.TypeRef{NamedType: &name}, Schema: c.set.Schema}
	if u, ok := obj.(*unstructured.Unstructured); ok {
		return parser.FromUnstructured(u.UnstructuredContent(), opts...)
	}
	v, err := value.NewValueReflect(obj)
	if err != nil {
		return nil, fmt.Errorf("reading a %T: %w", obj, err)
	}
	if slices.Contains(opts, typed.AllowDuplicates) {
		return typed.AsTypedUnvalidated(object{v, obj}, parser.Schema, parser.TypeRef), nil //nolint:staticcheck // deprecated as not worth it; here it is
	}
	return typed.AsTyped(object{v, obj}, parser.Schema, parser.TypeRef, opts...)
}

// TypedToObject gives the object that a value came from, which is not to be
// changed, or the value as an unstructured object. Field managers ask for it
// once for each manager, to learn its version.
func (converter) TypedToObject(from *typed.TypedValue) (runtime.Object, error) {
	if v, is := from.AsValue().(object); is {
		return v.from, nil
	}
	content, ok := from.AsValue().Unstructured().(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a typed value of %T is no object", from.AsValue().Unstructured())
	}
	return &unstructured.Unstructured{Object: content}, nil
}
