package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func validatePersistentVolumeClaim(c *corev1.PersistentVolumeClaim) field.ErrorList {
	return ValidatePersistentVolumeClaimSpec(&c.Spec, field.NewPath("spec"))
}

func validatePersistentVolumeClaimUpdate(c, old *corev1.PersistentVolumeClaim) field.ErrorList {
	errs := validateClaimSpec(&c.Spec, &old.Spec, field.NewPath("spec"))
	spec := field.NewPath("spec")
	is, was := c.Spec.DeepCopy(), old.Spec.DeepCopy()
	normalizeDataSources(was) // what older servers stored
	if was.VolumeName == "" {
		was.VolumeName = is.VolumeName
	}
	errs = append(errs, classUpdate(c, old, is)...)
	if c.Status.Phase == corev1.ClaimBound {
		if is.Resources.Requests != nil {
			is.Resources.Requests[corev1.ResourceStorage] = was.Resources.Requests[corev1.ResourceStorage]
		}
		is.VolumeAttributesClassName = was.VolumeAttributesClassName
	}
	if !apiequality.Semantic.DeepEqual(is, was) {
		errs = append(errs, field.Forbidden(spec, "spec is immutable after creation except resources.requests "+
			"and volumeAttributesClassName for bound claims\n"+diff.Diff(validate.Shown(was), validate.Shown(is))))
	}
	errs = append(errs, claimSize(c, old, spec)...)
	errs = append(errs, validate.Immutable(c.Spec.VolumeMode, old.Spec.VolumeMode, field.NewPath("volumeMode"))...)
	return append(errs, attributesClassKept(c, old, spec.Child("volumeAttributesClassName"))...)
}

// classUpdate lets a claim without a class get one, and the annotation that
// once named it move into the field; is is what will be compared.
func classUpdate(c, old *corev1.PersistentVolumeClaim, is *corev1.PersistentVolumeClaimSpec) field.ErrorList {
	const key = corev1.BetaStorageClassAnnotation
	named, had := old.Annotations[key]
	now, has := c.Annotations[key]
	was, class := old.Spec.StorageClassName, c.Spec.StorageClassName
	if had && was == nil && class != nil && *class == named && (!has || now == named) {
		is.StorageClassName = nil
		return nil
	}
	if was == nil && class != nil && (!had || *class == named) {
		is.StorageClassName = nil
	}
	if now != named {
		return field.ErrorList{field.Invalid(field.NewPath("metadata", "annotations").Key(key), now, "field is immutable")}
	}
	return nil
}

// attributesClassKept refuses to take away a class that is in effect (KEP-3751).
func attributesClassKept(c, old *corev1.PersistentVolumeClaim, at *field.Path) field.ErrorList {
	is := c.Spec.VolumeAttributesClassName
	if old.Status.CurrentVolumeAttributesClassName == nil || apiequality.Semantic.DeepEqual(is, old.Spec.VolumeAttributesClassName) {
		return nil
	}
	const why = " is forbidden when status.currentVolumeAttributesClassName is not nil"
	switch {
	case is == nil:
		return field.ErrorList{field.Forbidden(at, "update to nil"+why)}
	case *is == "":
		return field.ErrorList{field.Forbidden(at, "update to empty string"+why)}
	}
	return nil
}

// claimSize lets a claim shrink only as far as an expansion that failed, and
// never to what it already has.
func claimSize(c, old *corev1.PersistentVolumeClaim, spec *field.Path) field.ErrorList {
	was, is := old.Spec.Resources.Requests[corev1.ResourceStorage], c.Spec.Resources.Requests[corev1.ResourceStorage]
	has := old.Status.Capacity[corev1.ResourceStorage]
	if is.Cmp(was) < 0 && is.Cmp(has) <= 0 {
		return field.ErrorList{field.Forbidden(spec.Child("resources", "requests", "storage"), "field can not be less than status.capacity")}
	}
	return nil
}

func validatePersistentVolumeClaimStatus(c, _ *corev1.PersistentVolumeClaim) field.ErrorList {
	status, s := field.NewPath("status"), &c.Status
	errs := requiredIf(c.ResourceVersion == "", field.NewPath("resourceVersion"))
	errs = append(errs, requiredIf(len(c.Spec.AccessModes) == 0, field.NewPath("Spec", "accessModes"))...)
	for _, name := range sortedResources(s.Capacity) {
		errs = append(errs, wholeAmount(s.Capacity[name], status.Child("capacity").Key(string(name)))...)
	}
	for _, name := range slices.Sorted(maps.Keys(s.AllocatedResourceStatuses)) {
		at := status.Child("allocatedResourceStatuses")
		errs = append(errs, expandable(name, at)...)
		errs = append(errs, resizeStatus(name, s.AllocatedResourceStatuses[name], at)...)
	}
	at := status.Child("allocatedResources")
	for _, name := range sortedResources(s.AllocatedResources) {
		why := expandable(name, at)
		if len(why) == 0 {
			why = wholeAmount(s.AllocatedResources[name], at.Key(string(name)))
		}
		errs = append(errs, why...)
	}
	return errs
}

// resizeStatus shows the name of the resource, not the status that is wrong,
// as upstream does.
func resizeStatus(name corev1.ResourceName, is corev1.ClaimResourceStatus, at *field.Path) field.ErrorList {
	known := []corev1.ClaimResourceStatus{
		corev1.PersistentVolumeClaimControllerResizeInProgress, corev1.PersistentVolumeClaimControllerResizeInfeasible,
		corev1.PersistentVolumeClaimNodeResizeInProgress, corev1.PersistentVolumeClaimNodeResizeInfeasible,
		corev1.PersistentVolumeClaimNodeResizePending,
	}
	if slices.Contains(known, is) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, name, known)}
}

// expandable wants a resource of which a claim can get more (KEP-1790): its
// storage, or one that is not Kubernetes' own.
func expandable(name corev1.ResourceName, at *field.Path) field.ErrorList {
	if errs := validate.QualifiedName(string(name), at); len(errs) > 0 {
		return errs
	}
	domain, _, qualified := strings.Cut(string(name), "/")
	if name == corev1.ResourceStorage || qualified && domain != "kubernetes.io" && !strings.HasSuffix(domain, ".kubernetes.io") {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, name, []corev1.ResourceName{corev1.ResourceStorage})}
}

func warnPersistentVolumeClaim(c *corev1.PersistentVolumeClaim) []string {
	var out []string
	if _, ok := c.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		out = append(out, fmt.Sprintf("metadata.annotations[%s]: deprecated since v1.8; use \"storageClassName\" attribute instead",
			corev1.BetaStorageClassAnnotation))
	}
	w := podWarner{}
	w.fractional(c.Spec.Resources.Requests, field.NewPath("spec", "resources", "requests"), corev1.ResourceStorage)
	w.fractional(c.Spec.Resources.Limits, field.NewPath("spec", "resources", "limits"), corev1.ResourceStorage)
	return append(out, w.out...)
}
