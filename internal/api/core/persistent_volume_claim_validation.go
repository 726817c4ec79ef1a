package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// ValidatePersistentVolumeClaimSpec checks a claim's spec, in a claim, a
// template of a StatefulSet or an ephemeral volume.
func ValidatePersistentVolumeClaimSpec(s *corev1.PersistentVolumeClaimSpec, path *field.Path) field.ErrorList {
	return validateClaimSpec(s, nil, path)
}

// validateClaimSpec lets what old, the spec before an update, has wrong stay
// wrong where older servers did not look at it.
func validateClaimSpec(s, old *corev1.PersistentVolumeClaimSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(s.AccessModes) == 0 {
		errs = append(errs, field.Required(path.Child("accessModes"), "at least 1 access mode is required"))
	}
	errs = append(errs, validate.LabelSelector(s.Selector, path.Child("selector"))...)
	errs = append(errs, accessModes(s.AccessModes, path.Child("accessModes"))...)
	at := path.Child("resources").Key(string(corev1.ResourceStorage))
	if size, ok := s.Resources.Requests[corev1.ResourceStorage]; ok {
		errs = append(errs, validate.PositiveQuantity(size, at)...)
	} else {
		errs = append(errs, field.Required(at, ""))
	}
	if s.StorageClassName != nil && *s.StorageClassName != "" {
		errs = append(errs, validate.Name(validate.Subdomain, *s.StorageClassName, path.Child("storageClassName"))...)
	}
	errs = append(errs, volumeMode(s.VolumeMode, path)...)
	errs = append(errs, dataSources(s, anyGroup(old), path)...)
	if s.VolumeAttributesClassName != nil && *s.VolumeAttributesClassName != "" {
		errs = append(errs, validate.Name(validate.Subdomain, *s.VolumeAttributesClassName, path.Child("volumeAttributesClassName"))...)
	}
	return errs
}

func accessModes(modes []corev1.PersistentVolumeAccessMode, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	exclusive, shared := false, false
	for _, m := range modes {
		errs = append(errs, validate.OneOf(m, at, corev1.ReadWriteOnce, corev1.ReadOnlyMany,
			corev1.ReadWriteMany, corev1.ReadWriteOncePod)...)
		switch m {
		case corev1.ReadWriteOncePod:
			exclusive = true
		case corev1.ReadWriteOnce, corev1.ReadOnlyMany, corev1.ReadWriteMany:
			shared = true
		}
	}
	if exclusive && shared {
		errs = append(errs, field.Forbidden(at, "may not use ReadWriteOncePod with other access modes"))
	}
	return errs
}

func volumeMode(m *corev1.PersistentVolumeMode, path *field.Path) field.ErrorList {
	if m == nil {
		return nil
	}
	return validate.OneOf(*m, path.Child("volumeMode"), corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)
}

// anyGroup tells whether a spec already names an API group, good or not: then
// a change may name any.
func anyGroup(s *corev1.PersistentVolumeClaimSpec) bool {
	if s == nil {
		return false
	}
	return s.DataSource != nil && s.DataSource.APIGroup != nil || s.DataSourceRef != nil && s.DataSourceRef.APIGroup != nil
}

func dataSources(s *corev1.PersistentVolumeClaimSpec, anyGroup bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if d := s.DataSource; d != nil {
		errs = append(errs, dataSource(d.Name, d.Kind, d.APIGroup, anyGroup, path.Child("dataSource"))...)
	}
	if d := s.DataSourceRef; d != nil {
		errs = append(errs, dataSource(d.Name, d.Kind, d.APIGroup, anyGroup, path.Child("dataSourceRef"))...)
		if ns := orEmpty(d.Namespace); ns != "" {
			errs = append(errs, validate.Name(validate.Label, ns, path.Child("dataSourceRef", "namespace"))...)
		}
	}
	if s.DataSource == nil || s.DataSourceRef == nil {
		return errs
	}
	// Upstream's texts show an empty object in place of the source.
	switch {
	case orEmpty(s.DataSourceRef.Namespace) != "":
		errs = append(errs, field.Invalid(path, struct{}{}, "may not be specified when dataSourceRef.namespace is specified"))
	case !sameSource(s.DataSource, s.DataSourceRef):
		errs = append(errs, field.Invalid(path, struct{}{}, "must match dataSourceRef"))
	}
	return errs
}

func dataSource(name, kind string, group *string, anyGroup bool, at *field.Path) field.ErrorList {
	errs := requiredIf(name == "", at.Child("name"))
	errs = append(errs, requiredIf(kind == "", at.Child("kind"))...)
	if group != nil && *group != "" {
		if anyGroup {
			return errs
		}
		return append(errs, validate.DNS1123Subdomain(*group, at.Child("apiGroup"))...)
	}
	if kind != "PersistentVolumeClaim" {
		errs = append(errs, field.Invalid(at, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
	}
	return errs
}

func sameSource(d *corev1.TypedLocalObjectReference, ref *corev1.TypedObjectReference) bool {
	return d.Name == ref.Name && d.Kind == ref.Kind && (d.APIGroup == nil) == (ref.APIGroup == nil) && orEmpty(d.APIGroup) == orEmpty(ref.APIGroup)
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
