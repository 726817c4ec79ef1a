package apiextensions

import (
	"context"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
)

func rules() api.RulesOf[*v1.CustomResourceDefinition] {
	return api.RulesOf[*v1.CustomResourceDefinition]{
		Default:        v1.SetObjectDefaults_CustomResourceDefinition,
		PrepareCreate:  prepareCreate,
		PrepareUpdate:  prepareUpdate,
		Validate:       validate,
		ValidateUpdate: validateUpdate,
		OwnMeta:        true,
		Warn:           warn,
		Generation: func(d, old *v1.CustomResourceDefinition) bool {
			return !equality.Semantic.DeepEqual(d.Spec, old.Spec)
		},
	}
}

func statusRules() *api.RulesOf[*v1.CustomResourceDefinition] {
	return &api.RulesOf[*v1.CustomResourceDefinition]{
		Default: v1.SetObjectDefaults_CustomResourceDefinition,
		PrepareUpdate: func(d, old *v1.CustomResourceDefinition) {
			d.Spec = old.Spec
			metav1.ResetObjectMetaForStatus(&d.ObjectMeta, &d.ObjectMeta)
		},
		ValidateUpdate: validateStatusUpdate,
		OwnMeta:        true,
	}
}

func prepareCreate(d *v1.CustomResourceDefinition) {
	d.Status = v1.CustomResourceDefinitionStatus{}
	noteStorageVersion(d)
}

func prepareUpdate(d, old *v1.CustomResourceDefinition) {
	old.Status.DeepCopyInto(&d.Status)
	noteStorageVersion(d)
}

// noteStorageVersion adds the version in which objects are stored from now on
// to those in which some may be stored.
func noteStorageVersion(d *v1.CustomResourceDefinition) {
	storage := storageVersion(d)
	if storage == nil {
		return
	}
	for _, have := range d.Status.StoredVersions {
		if have == storage.Name {
			return
		}
	}
	d.Status.StoredVersions = append(d.Status.StoredVersions, storage.Name)
}

// storageVersion is the version in which objects are stored; nil where the
// definition names none.
func storageVersion(d *v1.CustomResourceDefinition) *v1.CustomResourceDefinitionVersion {
	for i := range d.Spec.Versions {
		if d.Spec.Versions[i].Storage {
			return &d.Spec.Versions[i]
		}
	}
	return nil
}

// Internal is the form that the library's checks work on. It shares nothing
// with d.
func Internal(d *v1.CustomResourceDefinition) (*apiextensions.CustomResourceDefinition, error) {
	out := &apiextensions.CustomResourceDefinition{}
	err := v1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(d.DeepCopy(), out, nil)
	return out, err
}

func validate(d *v1.CustomResourceDefinition) field.ErrorList {
	in, err := Internal(d)
	if err != nil {
		return field.ErrorList{field.Invalid(field.NewPath("spec"), "", err.Error())}
	}
	forgetFieldsWithoutSchema(in)
	return validation.ValidateCustomResourceDefinition(context.Background(), in)
}

func validateUpdate(d, old *v1.CustomResourceDefinition) field.ErrorList {
	return both(d, old, func(in, was *apiextensions.CustomResourceDefinition) field.ErrorList {
		return validation.ValidateCustomResourceDefinitionUpdate(context.Background(), in, was)
	})
}

func validateStatusUpdate(d, old *v1.CustomResourceDefinition) field.ErrorList {
	return both(d, old, validation.ValidateUpdateCustomResourceDefinitionStatus)
}

func both(d, old *v1.CustomResourceDefinition, check func(in, was *apiextensions.CustomResourceDefinition) field.ErrorList) field.ErrorList {
	in, err := Internal(d)
	if err != nil {
		return field.ErrorList{field.Invalid(field.NewPath("spec"), "", err.Error())}
	}
	was, err := Internal(old)
	if err != nil {
		return field.ErrorList{field.Invalid(field.NewPath("spec"), "", err.Error())}
	}
	forgetFieldsWithoutSchema(in)
	return check(in, was)
}

// forgetFieldsWithoutSchema takes the selectable fields off what has no
// structural schema: the library follows them through the schema without
// looking whether there is one. The schema itself is refused all the same.
func forgetFieldsWithoutSchema(in *apiextensions.CustomResourceDefinition) {
	forget := func(fields *[]apiextensions.SelectableField, v *apiextensions.CustomResourceValidation) {
		if v == nil {
			return // the library says so
		}
		if schema, err := structural.NewStructural(v.OpenAPIV3Schema); err != nil || schema == nil {
			*fields = nil
		}
	}
	forget(&in.Spec.SelectableFields, in.Spec.Validation)
	for i := range in.Spec.Versions {
		v := &in.Spec.Versions[i]
		forget(&v.SelectableFields, in.Spec.Validation)
		forget(&v.SelectableFields, v.Schema)
		forget(&in.Spec.SelectableFields, v.Schema)
	}
}
