package crd

import (
	"fmt"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// manager is the field manager of an endpoint. It is made at the first write.
func (v *versioned) manager(subresource string) (*managedfields.FieldManager, error) {
	made, ok := v.managers.Load(subresource)
	if !ok {
		made, _ = v.managers.LoadOrStore(subresource, sync.OnceValues(func() (*managedfields.FieldManager, error) {
			return v.newManager(subresource)
		}))
	}
	return made.(func() (*managedfields.FieldManager, error))()
}

func (v *versioned) newManager(subresource string) (*managedfields.FieldManager, error) {
	types, err := v.definition.types()
	if err != nil {
		return nil, fmt.Errorf("merge types of %s: %w", v.definition.crd.Name, err)
	}
	form := forms{v.definition}
	out, err := managedfields.NewDefaultCRDFieldManager(types, form, form, form, v.gvk, v.gvk.GroupVersion(), subresource, v.resetFields(subresource))
	if err != nil {
		return nil, fmt.Errorf("field manager of %s: %w", v.gvk, err)
	}
	return out, nil
}

// resetFields are those that nobody comes to own by writing to an endpoint,
// since it does not store them.
func (v *versioned) resetFields(subresource string) map[fieldpath.APIVersion]fieldpath.Filter {
	out := map[fieldpath.APIVersion]fieldpath.Filter{}
	reset := func(v *versioned, fields ...string) {
		set := fieldpath.NewSet()
		for _, f := range fields {
			set.Insert(fieldpath.MakePathOrDie(f))
		}
		out[fieldpath.APIVersion(v.gvk.GroupVersion().String())] = fieldpath.NewExcludeSetFilter(set)
	}
	if subresource != "status" {
		if v.hasStatus() {
			reset(v, "status")
		}
		return out
	}
	for _, each := range v.definition.versions {
		if each.hasStatus() {
			reset(each, "metadata", "spec")
		}
	}
	return out
}

// typeConverter knows how the lists and maps of every version merge.
func (d *definition) typeConverter(meta func(scale bool) (map[string]*spec.Schema, error)) (managedfields.TypeConverter, error) {
	own, err := meta(false)
	if err != nil {
		return nil, err
	}
	models := make(map[string]*spec.Schema, len(own)+len(d.versions))
	for name, s := range own {
		models[name] = s
	}
	for _, v := range d.versions {
		s, err := v.published(publishing{v2: false})
		if err != nil {
			return nil, err
		}
		models[v.modelName(v.gvk.Kind)] = s
	}
	return managedfields.NewTypeConverter(models, d.crd.Spec.PreserveUnknownFields)
}

// modelName is a kind's name in OpenAPI: the group backwards, version, kind.
func (v *versioned) modelName(kind string) string {
	parts := strings.Split(v.gvk.Group, ".")
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return strings.Join(parts, ".") + "." + v.gvk.Version + "." + kind
}

// forms makes and converts objects for field managers, which compare what
// managers own across versions.
type forms struct{ definition *definition }

var (
	_ runtime.ObjectConvertor = forms{}
	_ runtime.ObjectDefaulter = forms{}
	_ runtime.ObjectCreater   = forms{}
)

// New makes an empty object.
func (forms) New(kind schema.GroupVersionKind) (runtime.Object, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	return u, nil
}

// Default fills unset fields.
func (f forms) Default(obj runtime.Object) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return
	}
	if v := f.definition.version(u.GroupVersionKind().Version); v != nil && u.GroupVersionKind() == v.gvk {
		v.setDefaults(u)
	}
}

// ConvertToVersion gives a copy in another version.
func (f forms) ConvertToVersion(in runtime.Object, target runtime.GroupVersioner) (runtime.Object, error) {
	u, ok := in.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("a %T is no custom resource", in)
	}
	gvk, ok := target.KindForGroupVersionKinds([]schema.GroupVersionKind{u.GroupVersionKind()})
	if !ok {
		return nil, fmt.Errorf("%s cannot be converted to %s", u.GroupVersionKind(), target)
	}
	v := f.definition.version(gvk.Version)
	if v == nil || gvk.Group != v.gvk.Group {
		return nil, fmt.Errorf("request to convert CR to an invalid group/version: %s", gvk.GroupVersion())
	}
	return f.definition.convert(u, v)
}

// Convert is not asked for by field managers.
func (f forms) Convert(in, out, _ any) error {
	return fmt.Errorf("a %T is not converted into a %T", in, out)
}

// ConvertFieldLabel is not asked for by field managers.
func (f forms) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}
