// Package managed keeps metadata.managedFields: who owns which field of an
// object, on every write, and merges applied configurations (server-side
// apply, KEP-555).
//
// The merging itself is apimachinery's managedfields over structured-merge-
// diff. This package holds one field manager per kind and endpoint, made when
// it is first needed, and compares objects without regard to the times that
// managed fields carry.
package managed

import (
	"fmt"
	"reflect"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/knarr-io/knarr/internal/api"
)

// TypeConverters gives the structural schema of a group and version.
type TypeConverters interface {
	TypeConverter(gv schema.GroupVersion) (managedfields.TypeConverter, error)
}

// Managers holds the field managers. Safe for concurrent use.
type Managers struct {
	scheme *runtime.Scheme
	types  TypeConverters

	mu   sync.RWMutex
	made map[key]*managedfields.FieldManager // guarded by mu
}

type key struct {
	gvk         schema.GroupVersionKind
	subresource string
}

// New makes field managers out of the scheme's types and their schemas.
func New(scheme *runtime.Scheme, types TypeConverters) *Managers {
	return &Managers{scheme: scheme, types: types, made: map[key]*managedfields.FieldManager{}}
}

// Of is the field manager of a kind's endpoint.
func (m *Managers) Of(k *api.Kind, subresource string) (*managedfields.FieldManager, error) {
	if k.Custom != nil {
		return k.Custom.Manager(subresource)
	}
	at := key{k.GVK, subresource}
	m.mu.RLock()
	fm := m.made[at]
	m.mu.RUnlock()
	if fm != nil {
		return fm, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if fm := m.made[at]; fm != nil {
		return fm, nil
	}
	fm, err := m.makeLocked(k, k.GVK, subresource, resetFields(k, subresource))
	if err == nil {
		m.made[at] = fm
	}
	return fm, err
}

// OfScale is the field manager of a scale endpoint, whose objects are of the
// given kind instead of the parent's.
func (m *Managers) OfScale(gvk schema.GroupVersionKind) (*managedfields.FieldManager, error) {
	at := key{gvk, "scale"}
	m.mu.Lock()
	defer m.mu.Unlock()
	if fm := m.made[at]; fm != nil {
		return fm, nil
	}
	fm, err := m.makeLocked(nil, gvk, "scale", nil)
	if err == nil {
		m.made[at] = fm
	}
	return fm, err
}

func (m *Managers) makeLocked(_ *api.Kind, gvk schema.GroupVersionKind, subresource string,
	reset map[fieldpath.APIVersion]fieldpath.Filter) (*managedfields.FieldManager, error) {
	types, err := m.types.TypeConverter(gvk.GroupVersion())
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", gvk.GroupVersion(), err)
	}
	fm, err := managedfields.NewDefaultFieldManager(unmanaged{types}, converter{m.scheme}, m.scheme, m.scheme, gvk, gvk.GroupVersion(), subresource, reset)
	if err != nil {
		return nil, fmt.Errorf("field manager of %s: %w", gvk, err)
	}
	return fm, nil
}

// converter gives objects in the version that they have as they are. The
// scheme copies them first, several times in a write; field managers read what
// they convert and do not change it.
type converter struct{ *runtime.Scheme }

// ConvertToVersion is part of runtime.ObjectConvertor.
func (c converter) ConvertToVersion(in runtime.Object, target runtime.GroupVersioner) (runtime.Object, error) {
	if _, isUnstructured := in.(runtime.Unstructured); isUnstructured {
		return c.UnsafeConvertToVersion(in, target) // makes a new object in any case
	}
	gvk := in.GetObjectKind().GroupVersionKind()
	if same, ok := target.KindForGroupVersionKinds([]schema.GroupVersionKind{gvk}); ok && same == gvk {
		return in, nil
	}
	return c.Scheme.ConvertToVersion(in, target)
}

// unmanaged gives field managers objects of Go types without their managed fields.
// A field manager reads these first and writes them anew at its end; what it does
// between has nothing to do with them, but to merge, compare and convert them with
// the rest, each entry by way of its JSON, was a tenth of an apply.
type unmanaged struct{ managedfields.TypeConverter }

// ObjectToTyped is part of managedfields.TypeConverter.
func (c unmanaged) ObjectToTyped(obj runtime.Object, opts ...typed.ValidationOptions) (*typed.TypedValue, error) {
	return c.TypeConverter.ObjectToTyped(withoutManagedFields(obj), opts...)
}

// withoutManagedFields is the object, or another that shares with it all but its
// metadata. An applied configuration stays as it is.
func withoutManagedFields(obj runtime.Object) runtime.Object {
	meta, ok := obj.(metav1.Object)
	if _, isUnstructured := obj.(runtime.Unstructured); !ok || isUnstructured || meta.GetManagedFields() == nil {
		return obj
	}
	from := reflect.ValueOf(obj).Elem()
	out := reflect.New(from.Type())
	out.Elem().Set(from)
	out.Interface().(metav1.Object).SetManagedFields(nil)
	return out.Interface().(runtime.Object)
}

func pathOf(names []string) fieldpath.Path {
	var out fieldpath.Path
	for _, name := range names {
		out = append(out, fieldpath.PathElement{FieldName: &name})
	}
	return out
}

// resetFields are the fields that an endpoint does not let its writers own,
// because it does not store what they send.
func resetFields(k *api.Kind, subresource string) map[fieldpath.APIVersion]fieldpath.Filter {
	var paths []fieldpath.Path
	switch reset := k.RulesOf(subresource).Reset; {
	case reset != nil:
		for _, path := range reset {
			paths = append(paths, pathOf(path))
		}
	case k.Status == nil:
		return nil
	case subresource == "status":
		paths = append(paths, fieldpath.MakePathOrDie("spec"))
	default:
		paths = append(paths, fieldpath.MakePathOrDie("status"))
	}
	set := fieldpath.NewSet(paths...)
	return map[fieldpath.APIVersion]fieldpath.Filter{
		fieldpath.APIVersion(k.GVK.GroupVersion().String()): fieldpath.NewExcludeSetFilter(set),
	}
}
