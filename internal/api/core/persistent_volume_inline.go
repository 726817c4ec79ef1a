package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateInlineVolume checks the volume that an attachment carries in itself
// (KEP-625, CSI migration): a volume of a CSI driver, without what binds
// volumes to claims.
func ValidateInlineVolume(s *corev1.PersistentVolumeSpec, at *field.Path) field.ErrorList {
	const why = "may not be specified in the context of inline volumes"
	var errs field.ErrorList
	for _, unfit := range []struct {
		name string
		set  bool
		why  string
	}{
		{"claimRef", s.ClaimRef != nil, why},
		{"capacity", len(s.Capacity) > 0, why},
		{"storageClassName", s.StorageClassName != "", why},
		{"nodeAffinity", s.NodeAffinity != nil, why},
		{
			"persistentVolumeReclaimPolicy", s.PersistentVolumeReclaimPolicy != "" && s.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain,
			"may only be Retain in the context of inline volumes",
		},
		{
			"volumeMode", s.VolumeMode != nil && *s.VolumeMode != corev1.PersistentVolumeFilesystem,
			"may not specify volumeMode other than Filesystem in the context of inline volumes",
		},
	} {
		if unfit.set {
			errs = append(errs, field.Forbidden(at.Child(unfit.name), unfit.why))
		}
	}
	if s.CSI == nil {
		errs = append(errs, field.Required(at.Child("csi"), "has to be specified in the context of inline volumes"))
	}
	errs = append(errs, requiredIf(len(s.AccessModes) == 0, at.Child("accessModes"))...)
	errs = append(errs, accessModes(s.AccessModes, at.Child("accessModes"))...)
	count, wrong := oneSource(persistentSources(s, "", at), at)
	errs = append(errs, wrong...)
	if count == 0 {
		errs = append(errs, field.Required(at, "must specify a volume type"))
	}
	return errs
}
