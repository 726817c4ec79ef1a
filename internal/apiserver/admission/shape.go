package admission

import (
	"context"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kadmission "k8s.io/apiserver/pkg/admission"

	"github.com/knarr-io/knarr/internal/api"
)

// Shape is a write's object and its former state in one version, as the
// admission of others sees them: as maps that say their kind. Both are shared
// and immutable; either may be nil.
type Shape struct {
	Kind        schema.GroupVersionKind
	Object, Old *unstructured.Unstructured
}

// Shapes makes the shapes of one write, each once. Make a new one when the
// object was changed. It is used by one goroutine.
type Shapes struct {
	ctx    context.Context // bounds conversions, which may call a webhook
	of     *Attributes
	made   map[*api.Kind]*Shape
	record kadmission.Attributes
}

// NewShapes has made nothing yet. ctx bounds conversions.
func NewShapes(ctx context.Context, a *Attributes) *Shapes {
	return &Shapes{ctx: ctx, of: a, made: map[*api.Kind]*Shape{}}
}

// In gives the write in the version of a kind that is stored as the write's
// own kind is.
func (s *Shapes) In(k *api.Kind) (*Shape, error) {
	if have := s.made[k]; have != nil {
		return have, nil
	}
	out := &Shape{Kind: s.of.shownAs(k)}
	var err error
	if out.Object, err = s.of.show(s.ctx, s.of.Object, k, out.Kind); err != nil {
		return nil, err
	}
	if out.Old, err = s.of.show(s.ctx, s.of.Old, k, out.Kind); err != nil {
		return nil, err
	}
	s.made[k] = out
	return out, nil
}

// Versioned is a shape in the form that upstream's CEL library takes.
func (s *Shapes) Versioned(k *api.Kind) (*kadmission.VersionedAttributes, error) {
	shape, err := s.In(k)
	if err != nil {
		return nil, err
	}
	if s.record == nil {
		a := s.of
		s.record = kadmission.NewAttributesRecord(a.Object, a.Old, a.shownAs(a.Kind), a.RequestNamespace(), a.Name, a.Kind.GVR(), a.Subresource,
			kadmission.Operation(a.Operation), a.Options, a.DryRun, a.User)
	}
	out := &kadmission.VersionedAttributes{Attributes: s.record, VersionedKind: shape.Kind}
	if shape.Object != nil {
		out.VersionedObject = shape.Object
	}
	if shape.Old != nil {
		out.VersionedOldObject = shape.Old
	}
	return out, nil
}

// RequestNamespace is the write's namespace. A namespace counts as lying in
// itself.
func (a *Attributes) RequestNamespace() string {
	if a.Namespace == "" && IsNamespace(a.Kind) {
		return a.Name
	}
	return a.Namespace
}

// IsNamespace tells of the kind Namespace.
func IsNamespace(k *api.Kind) bool { return k.GVK.Group == "" && k.Resource == "namespaces" }

// shownAs is the kind of the body where a write is shown in k's version.
func (a *Attributes) shownAs(k *api.Kind) schema.GroupVersionKind {
	if !a.Body.Empty() {
		return a.Body
	}
	return k.GVK
}

func (a *Attributes) show(ctx context.Context, obj runtime.Object, k *api.Kind, gvk schema.GroupVersionKind) (*unstructured.Unstructured, error) {
	if obj == nil || reflect.ValueOf(obj).IsNil() {
		return nil, nil
	}
	obj, err := a.convert(ctx, obj, a.Kind, k)
	if err != nil {
		return nil, err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, fmt.Errorf("show a %s: %w", gvk.Kind, err)
	}
	if _, shared := obj.(runtime.Unstructured); shared {
		content = runtime.DeepCopyJSON(content)
	}
	out := &unstructured.Unstructured{Object: content}
	out.SetGroupVersionKind(gvk)
	return out, nil
}

// convert gives an object of one kind as another that is stored alike.
func (a *Attributes) convert(ctx context.Context, obj runtime.Object, from, to *api.Kind) (runtime.Object, error) {
	typed, isObject := obj.(api.Object)
	if from == to || !a.Body.Empty() || !isObject {
		return obj, nil
	}
	if from.Stored() != to.Stored() {
		return nil, fmt.Errorf("unable to convert %s to %s: they are not stored alike", from.GVK, to.GVK)
	}
	if to.Custom != nil && to.Custom.Convert != nil {
		converted, err := to.Custom.Convert(ctx, []api.Object{typed})
		if err != nil {
			return nil, err
		}
		return converted[0], nil
	}
	if from.View != nil {
		typed = from.View.ToStored(typed)
	}
	if to.View != nil {
		typed = to.View.FromStored(typed)
	}
	return typed, nil
}

// Replace puts the changed content of a shape into the write's object. The
// object keeps its identity: whoever holds it sees the change. Defaults are
// set again, in the version of the shape. strict refuses unknown fields, which
// are dropped otherwise.
func (a *Attributes) Replace(ctx context.Context, content map[string]any, k *api.Kind, strict bool) error {
	next := reflect.New(reflect.TypeOf(a.Object).Elem()).Interface().(runtime.Object)
	if k != a.Kind && a.Body.Empty() {
		next = k.New()
	}
	if free, isFree := next.(runtime.Unstructured); isFree {
		free.SetUnstructuredContent(content)
	} else if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(content, next, strict); err != nil {
		return err
	}
	if got := next.GetObjectKind().GroupVersionKind(); got != a.shownAs(k) {
		return fmt.Errorf("the object became a %s, which is no %s", got, a.shownAs(k))
	}
	if err := a.formed(next, k); err != nil {
		return err
	}
	next, err := a.convert(ctx, next, k, a.Kind)
	if err != nil {
		return err
	}
	if a.Body.Empty() {
		next.GetObjectKind().SetGroupVersionKind(a.Kind.GVK)
	}
	if reflect.TypeOf(next) != reflect.TypeOf(a.Object) {
		return fmt.Errorf("a %T cannot become a %T", a.Object, next)
	}
	reflect.ValueOf(a.Object).Elem().Set(reflect.ValueOf(next).Elem())
	return nil
}

// formed brings a changed object into its kind's form: what a schema does not
// know goes again, and defaults come back.
func (a *Attributes) formed(next runtime.Object, k *api.Kind) error {
	typed, isObject := next.(api.Object)
	if !isObject || !a.Body.Empty() {
		return nil
	}
	if k.Custom != nil && k.Custom.Coerce != nil {
		if _, err := k.Custom.Coerce(typed, false); err != nil {
			return err
		}
	}
	if k.Main.Default != nil {
		k.Main.Default(typed)
	}
	return nil
}
