package validate

import (
	apimachinery "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
)

// Meta checks the metadata of a new object by the rules of its kind's main
// endpoint.
func Meta(k *api.Kind, obj api.Object) field.ErrorList { return meta(&k.Main, obj, k.Namespaced) }

func meta(rules *api.Rules, obj api.Object, namespaced bool) field.ErrorList {
	rule, at := rules.NameRule, field.NewPath("metadata")
	if rule == nil {
		rule = Subdomain
	}
	if rules.Meta == api.MetaLast {
		rule = path.ValidatePathSegmentName
	}
	errs := inKeyOrder(apimachinery.ValidateObjectMetaAccessor(obj, namespaced, rule, at))
	return append(errs, finalizers(rules, obj, at)...)
}

// StrictMeta checks metadata once more, for kinds that say several times what
// is wrong with it: each time is a cause in the answer.
func StrictMeta(obj api.Object, namespaced bool, rule NameRule) field.ErrorList {
	return meta(&api.Rules{NameRule: rule}, obj, namespaced)
}

func finalizers(rules *api.Rules, obj api.Object, path *field.Path) field.ErrorList {
	if rules.Meta != api.MetaStrict {
		return nil
	}
	var errs field.ErrorList
	for i, name := range obj.GetFinalizers() {
		errs = append(errs, standardFinalizer(name, path.Child("finalizers").Index(i))...)
	}
	return errs
}

// metaUpdate checks the metadata of a changed object against the old one.
func metaUpdate(rules *api.Rules, obj, old api.Object) field.ErrorList {
	if rules.Meta == api.MetaLast {
		return nil
	}
	if rules.MetaAsNew {
		return meta(rules, obj, old.GetNamespace() != "")
	}
	errs := inKeyOrder(apimachinery.ValidateObjectMetaAccessorUpdate(obj, old, field.NewPath("metadata")))
	errs = append(errs, finalizers(rules, obj, field.NewPath("metadata"))...)
	if rules.MetaAgain {
		errs = append(errs, meta(rules, obj, old.GetNamespace() != "")...)
	}
	return errs
}

// Create is everything that is checked of a new object, metadata first.
func Create(k *api.Kind, obj api.Object) field.ErrorList {
	var errs field.ErrorList
	rules := &k.Main
	if !rules.OwnMeta && rules.Meta != api.MetaLast {
		errs = Meta(k, obj)
	}
	if rules.Validate != nil {
		errs = append(errs, rules.Validate(obj)...)
	}
	if len(errs) > 0 {
		return errs
	}
	if rules.Meta == api.MetaLast {
		return Meta(k, obj)
	}
	for _, why := range path.IsValidPathSegmentName(obj.GetName()) { // of kinds that take any name
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), obj.GetName(), why))
	}
	return errs
}

// Update is everything that is checked of a change through an endpoint.
func Update(rules *api.Rules, obj, old api.Object) field.ErrorList {
	var errs field.ErrorList
	if !rules.OwnMeta {
		errs = metaUpdate(rules, obj, old)
	}
	if rules.ValidateUpdate != nil {
		errs = append(errs, rules.ValidateUpdate(obj, old)...)
	}
	return errs
}
