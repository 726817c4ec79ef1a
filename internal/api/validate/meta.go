package validate

import (
	apimachinery "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
)

// Meta checks the metadata of a new object by the rules of its kind's main
// endpoint.
func Meta(k *api.Kind, obj api.Object) field.ErrorList {
	rule := k.Main.NameRule
	if rule == nil {
		rule = Subdomain
	}
	path := field.NewPath("metadata")
	errs := apimachinery.ValidateObjectMetaAccessor(obj, k.Namespaced, rule, path)
	return append(errs, finalizers(obj, path)...)
}

func finalizers(obj api.Object, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, name := range obj.GetFinalizers() {
		errs = append(errs, standardFinalizer(name, path.Child("finalizers").Index(i))...)
	}
	return errs
}

// MetaUpdate checks the metadata of a changed object against the old one.
func MetaUpdate(obj, old api.Object) field.ErrorList {
	path := field.NewPath("metadata")
	errs := apimachinery.ValidateObjectMetaAccessorUpdate(obj, old, path)
	return append(errs, finalizers(obj, path)...)
}

// Create is everything that is checked of a new object, metadata first.
func Create(k *api.Kind, obj api.Object) field.ErrorList {
	var errs field.ErrorList
	if !k.Main.OwnMeta {
		errs = Meta(k, obj)
	}
	if k.Main.Validate != nil {
		errs = append(errs, k.Main.Validate(obj)...)
	}
	return errs
}

// Update is everything that is checked of a change through an endpoint.
func Update(rules *api.Rules, obj, old api.Object) field.ErrorList {
	var errs field.ErrorList
	if !rules.OwnMeta {
		errs = MetaUpdate(obj, old)
	}
	if rules.ValidateUpdate != nil {
		errs = append(errs, rules.ValidateUpdate(obj, old)...)
	}
	return errs
}
