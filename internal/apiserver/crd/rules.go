package crd

import (
	"context"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apimachinery "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/common"

	"github.com/knarr-io/knarr/internal/api"
)

func (v *versioned) mainRules() api.Rules {
	return api.Rules{
		Default: v.setDefaults,
		PrepareCreate: func(obj api.Object) {
			if v.hasStatus() {
				delete(content(obj), "status")
			}
		},
		PrepareUpdate: func(obj, old api.Object) {
			if v.hasStatus() {
				keepStatus(content(obj), content(old))
			}
		},
		Validate:       v.validate,
		ValidateUpdate: v.validateUpdate,
		OwnMeta:        true,
		Warn:           warnOfFinalizers,
		Generation:     func(obj, old api.Object) bool { return !sameButMetadata(content(obj), content(old)) },
	}
}

func (v *versioned) statusRules() api.Rules {
	return api.Rules{
		Default:        v.setDefaults,
		PrepareUpdate:  takeStatus,
		ValidateUpdate: v.validateStatus,
		OwnMeta:        true,
	}
}

// keepStatus carries the old status over, which the main endpoint leaves alone.
func keepStatus(obj, old map[string]any) {
	if status, had := old["status"]; had {
		obj["status"] = status
		return
	}
	delete(obj, "status")
}

// takeStatus keeps everything but the status and who owns it.
func takeStatus(obj, old api.Object) {
	u := obj.(*unstructured.Unstructured)
	status, has := u.Object["status"]
	u.Object = old.(*unstructured.Unstructured).DeepCopy().Object
	delete(u.Object, "status")
	if has {
		u.Object["status"] = status
	}
}

func sameButMetadata(a, b map[string]any) bool {
	return apiequality.Semantic.DeepEqual(withoutMetadata(a), withoutMetadata(b))
}

func withoutMetadata(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, value := range m {
		if k != "metadata" {
			out[k] = value
		}
	}
	return out
}

func (v *versioned) validate(obj api.Object) field.ErrorList {
	u := obj.(*unstructured.Unstructured)
	if errs := v.checkType(u); len(errs) > 0 {
		return errs
	}
	structural, whole, err := v.checks()
	if err != nil {
		return broken(err)
	}
	errs := apimachinery.ValidateObjectMetaAccessor(u, v.kind.Namespaced, apimachinery.NameIsDNSSubdomain, field.NewPath("metadata"))
	errs = append(errs, whole.create(u.Object)...)
	errs = append(errs, v.checkScale(u)...)
	errs = append(errs, objectmeta.Validate(nil, u.Object, structural, false)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, structural, u.Object)...)
	return append(errs, v.evaluate(errs, structural, u.Object, nil)...)
}

func (v *versioned) validateUpdate(obj, old api.Object) field.ErrorList {
	u, was := obj.(*unstructured.Unstructured), old.(*unstructured.Unstructured)
	if errs := v.checkType(u); len(errs) > 0 {
		return errs
	}
	structural, whole, err := v.checks()
	if err != nil {
		return broken(err)
	}
	pair := common.NewCorrelatedObject(u.Object, was.Object, &model.Structural{Structural: structural})
	errs := apimachinery.ValidateObjectMetaAccessorUpdate(u, was, field.NewPath("metadata"))
	errs = append(errs, whole.update(nil, u.Object, was.Object, validation.WithRatcheting(pair))...)
	errs = append(errs, v.checkScale(u)...)
	errs = append(errs, objectmeta.Validate(nil, u.Object, structural, false)...)
	errs = append(errs, newListErrors(structural, u.Object, was.Object)...)
	return append(errs, v.evaluate(errs, structural, u.Object, was.Object, cel.WithRatcheting(pair))...)
}

func (v *versioned) validateStatus(obj, old api.Object) field.ErrorList {
	u, was := obj.(*unstructured.Unstructured), old.(*unstructured.Unstructured)
	if errs := v.checkType(u); len(errs) > 0 {
		return errs
	}
	structural, err := v.structural()
	if err != nil {
		return broken(err)
	}
	pair := common.NewCorrelatedObject(u.Object, was.Object, &model.Structural{Structural: structural})
	errs := apimachinery.ValidateObjectMetaAccessorUpdate(u, was, field.NewPath("metadata"))
	errs = append(errs, v.checkStatusSchema(u, was, structural, pair)...)
	errs = append(errs, v.checkScaleStatus(u)...)
	errs = append(errs, newListErrors(structural, u.Object, was.Object)...)
	return append(errs, v.evaluate(errs, structural, u.Object, was.Object, cel.WithRatcheting(pair))...)
}

func (v *versioned) checkStatusSchema(u, was *unstructured.Unstructured, structural *schema.Structural, pair *common.CorrelatedObject) field.ErrorList {
	status, has := u.Object["status"]
	check, err := v.status()
	if err != nil {
		return broken(err)
	}
	if !has || check == nil {
		return nil
	}
	var options []validation.ValidationOption
	if structural != nil {
		options = append(options, validation.WithRatcheting(pair.Key("status")))
	}
	return check.update(field.NewPath("status"), status, was.Object["status"], options...)
}

// checks are what objects are checked with.
func (v *versioned) checks() (*schema.Structural, *against, error) {
	structural, err := v.structural()
	if err != nil {
		return nil, nil, err
	}
	whole, err := v.whole()
	return structural, whole, err
}

// broken tells of a schema that cannot be used, which validation of the
// definition should have kept out.
func broken(err error) field.ErrorList {
	return field.ErrorList{field.InternalError(nil, err)}
}

// newListErrors are violations of sets and maps, unless the old object had
// some already.
func newListErrors(structural *schema.Structural, obj, old map[string]any) field.ErrorList {
	errs := listtype.ValidateListSetsAndMaps(nil, structural, obj)
	if len(errs) == 0 || len(listtype.ValidateListSetsAndMaps(nil, structural, old)) > 0 {
		return nil
	}
	return errs
}

// evaluate runs the schema's CEL rules, within upstream's budget of cost,
// unless the object is malformed in a way that they could not work with.
func (v *versioned) evaluate(found field.ErrorList, structural *schema.Structural, obj, old map[string]any, options ...cel.Option) field.ErrorList {
	rules := v.rules()
	if rules == nil {
		return nil
	}
	for _, err := range found {
		switch err.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return field.ErrorList{field.Invalid(nil, nil,
				"some validation rules were not checked because the object was invalid; correct the existing errors to complete validation")}
		}
	}
	var before any
	if old != nil {
		before = old
	}
	errs, _ := rules.Validate(context.Background(), nil, structural, obj, before, celconfig.RuntimeCELCostBudget, options...)
	return errs
}
