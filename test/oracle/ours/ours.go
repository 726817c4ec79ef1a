// Package ours answers writes by Knarr's own rules, as its server does, with
// everything left out that the rules cannot see: authorization, admission,
// the store.
package ours

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/api/errors"
	apimachinery "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/validate"
	"github.com/knarr-io/knarr/test/oracle/outcome"
)

// Create answers the creation of the object that the JSON text holds.
func Create(k *api.Kind, text []byte, s api.Stamp) outcome.Outcome {
	obj := k.New()
	if err := json.Unmarshal(text, obj); err != nil {
		return outcome.Outcome{Broken: err.Error()}
	}
	rules := &k.Main
	if rules.Default != nil {
		rules.Default(obj)
	}
	if rules.PrepareCreate != nil {
		rules.PrepareCreate(obj)
	}
	if rules.Generation != nil {
		obj.SetGeneration(1)
	}
	var warnings []string
	s.Warn = func(text string) { warnings = append(warnings, text) }
	if rules.Stamp != nil {
		rules.Stamp(obj, nil, s)
	}
	if errs := validate.Create(k, obj); len(errs) > 0 {
		return refused(k, obj, errs)
	}
	return outcome.Accepted(readBack(k, obj), append(warnings, warn(rules, obj, nil)...))
}

// Rules are those of the kind (empty name) or of a subresource; nil where it
// has none of its own.
func Rules(k *api.Kind, subresource string) *api.Rules {
	switch subresource {
	case "":
		return &k.Main
	case "status":
		return k.Status
	}
	for i := range k.Subresources {
		if k.Subresources[i].Name == subresource {
			return k.Subresources[i].Rules
		}
	}
	return nil
}

// Update answers the change of the stored object to what the JSON text holds.
func Update(k *api.Kind, rules *api.Rules, text, stored []byte, s api.Stamp) outcome.Outcome {
	obj, old := k.New(), k.New()
	if err := json.Unmarshal(text, obj); err != nil {
		return outcome.Outcome{Broken: err.Error()}
	}
	if err := json.Unmarshal(stored, old); err != nil {
		return outcome.Outcome{Broken: err.Error()}
	}
	if rules.Default != nil {
		rules.Default(obj)
	}
	if k.Main.Default != nil {
		k.Main.Default(old)
	}
	obj.SetGeneration(old.GetGeneration())
	if rules.PrepareUpdate != nil {
		version := obj.GetResourceVersion()
		rules.PrepareUpdate(obj, old)
		obj.SetResourceVersion(version)
	}
	if rules.Stamp != nil {
		rules.Stamp(obj, old, s)
	}
	if rules.Generation != nil && rules.Generation(obj, old) {
		obj.SetGeneration(old.GetGeneration() + 1)
	}
	at := field.NewPath("metadata")
	errs := apimachinery.ValidateObjectMetaAccessor(obj, k.Namespaced, path.ValidatePathSegmentName, at)
	errs = append(errs, apimachinery.ValidateObjectMetaAccessorUpdate(obj, old, at)...)
	errs = append(errs, validate.Update(rules, obj, old)...)
	if len(errs) > 0 {
		return refused(k, obj, errs)
	}
	return outcome.Accepted(readBack(k, obj), warn(rules, obj, old))
}

func refused(k *api.Kind, obj metav1.Object, errs field.ErrorList) outcome.Outcome {
	return outcome.Refused(errors.NewInvalid(k.Stored().GVK.GroupKind(), obj.GetName(), errs))
}

func warn(rules *api.Rules, obj, old api.Object) []string {
	if rules.Warn == nil {
		return nil
	}
	return rules.Warn(obj, old)
}

// readBack gives the object as it comes back out of the store, where a kind is
// kept in the form of another one.
func readBack(k *api.Kind, obj api.Object) api.Object {
	if !k.IsView() {
		return obj
	}
	out := k.View.FromStored(k.View.ToStored(obj))
	if k.Main.Default != nil {
		k.Main.Default(out)
	}
	return out
}
