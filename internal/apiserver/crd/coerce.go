package crd

import (
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/knarr-io/knarr/internal/api"
)

// coercion says how an object is brought into form.
type coercion struct {
	// track asks for the paths of the fields that are dropped.
	track bool
	// stored drops malformed metadata, instead of refusing it, and gives very
	// old objects their first generation.
	stored bool
}

// coerce makes an unstructured object what decoding makes of a typed one:
// metadata of the right types, no fields that the schema does not know, no
// nulls where the schema has none.
func (v *versioned) coerce(u *unstructured.Unstructured, how coercion) (unknown []string, err error) {
	structural, err := v.structural()
	if err != nil {
		return nil, err
	}
	meta, found, unknown, err := objectmeta.GetObjectMetaWithOptions(u.Object, objectmeta.ObjectMetaOptions{
		DropMalformedFields: how.stored, ReturnUnknownFieldPaths: how.track,
	})
	if err != nil {
		return nil, err
	}
	if !v.definition.crd.Spec.PreserveUnknownFields {
		dropped := pruning.PruneWithOptions(u.Object, structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: how.track})
		unknown = append(unknown, dropped...)
		defaulting.PruneNonNullableNullsWithoutDefaults(u.Object, structural)
	}
	bad, more := objectmeta.CoerceWithOptions(nil, u.Object, structural, false, objectmeta.CoerceOptions{
		DropInvalidFields: how.stored, ReturnUnknownFieldPaths: how.track,
	})
	if bad != nil {
		return nil, bad
	}
	unknown = append(unknown, more...)
	if how.stored && meta.Generation == 0 {
		meta.Generation = 1
	}
	if found {
		err = objectmeta.SetObjectMeta(u.Object, meta)
	}
	return unknown, err
}

// coerceBody is coerce for what a client sent.
func (v *versioned) coerceBody(obj api.Object, strict bool) ([]string, error) {
	return v.coerce(obj.(*unstructured.Unstructured), coercion{track: strict})
}

// setDefaults fills unset fields.
func (v *versioned) setDefaults(obj api.Object) {
	structural, err := v.structural()
	if err != nil {
		return // told where the object is coerced
	}
	defaulting.Default(content(obj), structural)
}

// restore completes an object that was read from the store, which may be of
// any version that the definition ever stored.
func (v *versioned) restore(obj api.Object) error {
	u := obj.(*unstructured.Unstructured)
	u.SetGroupVersionKind(u.GroupVersionKind().GroupVersion().WithKind(v.gvk.Kind))
	from := v.definition.version(u.GroupVersionKind().Version)
	if from == nil {
		from = v // the version is gone from the definition: it can only be read as this one
		u.SetGroupVersionKind(v.gvk)
	}
	if _, err := from.coerce(u, coercion{stored: true}); err != nil {
		return err
	}
	from.setDefaults(u)
	if from == v || v.definition.hook != nil {
		return nil
	}
	return v.relabel(u)
}

// relabel makes an object one of this version, as conversion None does: the
// fields stay, as far as this version's schema knows them.
func (v *versioned) relabel(u *unstructured.Unstructured) error {
	u.SetAPIVersion(v.gvk.GroupVersion().String())
	_, err := v.coerce(u, coercion{})
	return err
}

// view shows the stored objects in this version; nil for the storage version,
// unless objects may be stored in others.
func (v *versioned) view() *api.View {
	storage := v.definition.storage
	if storage == nil || v == storage && v.definition.hook == nil {
		return nil
	}
	return &api.View{Of: storage.kind, FromStored: v.relabelled, ToStored: storage.relabelled}
}

// relabelled is relabel on a copy. What fails to be coerced into the version
// keeps the fields that it has.
func (v *versioned) relabelled(obj api.Object) api.Object {
	u := obj.(*unstructured.Unstructured)
	if u.GroupVersionKind() == v.gvk {
		return u
	}
	out := u.DeepCopy()
	if err := v.relabel(out); err != nil {
		out = u.DeepCopy()
		out.SetGroupVersionKind(v.gvk)
	}
	return out
}
