package core

import (
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func (p *podCheck) volumeMounts(c *corev1.Container, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	devices := make(map[string]string, len(c.VolumeDevices)) // the last path of a name counts
	for _, d := range c.VolumeDevices {
		devices[d.Name] = d.DevicePath
	}
	names, paths := sets.KeySet(devices), sets.New(slices.Collect(maps.Values(devices))...)
	for i := range c.VolumeMounts {
		m, idx := &c.VolumeMounts[i], at.Index(i)
		if m.Name == "" {
			errs = append(errs, field.Required(idx.Child("name"), ""))
		}
		if p.volumes[m.Name] == nil {
			errs = append(errs, field.NotFound(idx.Child("name"), m.Name))
		}
		if m.MountPath == "" {
			errs = append(errs, field.Required(idx.Child("mountPath"), ""))
		}
		if seen.Has(m.MountPath) {
			errs = append(errs, field.Invalid(idx.Child("mountPath"), m.MountPath, "must be unique"))
		}
		seen.Insert(m.MountPath)
		errs = append(errs, notInDevices(m, names, paths, idx)...)
		errs = append(errs, subPaths(m, at, idx)...)
		errs = append(errs, mountPropagation(m, c, at.Child("mountPropagation"))...)
		errs = append(errs, recursiveReadOnly(m, at.Child("recursiveReadOnly"))...)
	}
	return errs
}

func notInDevices(m *corev1.VolumeMount, names, paths sets.Set[string], idx *field.Path) field.ErrorList {
	var errs field.ErrorList
	if names.Has(m.Name) {
		errs = append(errs, field.Invalid(idx.Child("name"), m.Name, "must not already exist in volumeDevices"))
	}
	if paths.Has(m.MountPath) {
		errs = append(errs, field.Invalid(idx.Child("mountPath"), m.MountPath, "must not already exist as a path in volumeDevices"))
	}
	return errs
}

// subPaths reports paths without the mount's index where upstream does.
func subPaths(m *corev1.VolumeMount, at, idx *field.Path) field.ErrorList {
	var errs field.ErrorList
	if m.SubPath != "" {
		errs = append(errs, descendingPath(m.SubPath, at.Child("subPath"))...)
	}
	if m.SubPathExpr != "" {
		if m.SubPath != "" {
			errs = append(errs, field.Invalid(idx.Child("subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive"))
		}
		errs = append(errs, descendingPath(m.SubPathExpr, at.Child("subPathExpr"))...)
	}
	return errs
}

// descendingPath is a relative path that never climbs.
func descendingPath(p string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if path.IsAbs(p) {
		errs = append(errs, field.Invalid(at, p, "must be a relative path"))
	}
	return append(errs, noBacksteps(p, at)...)
}

func noBacksteps(p string, at *field.Path) field.ErrorList {
	if slices.Contains(strings.Split(p, "/"), "..") {
		return field.ErrorList{field.Invalid(at, p, "must not contain '..'")}
	}
	return nil
}

// localFile is a descending path whose first step is not one of the names
// that atomic writers of volumes keep for themselves.
func localFile(p string, at *field.Path) field.ErrorList {
	errs := descendingPath(p, at)
	if strings.HasPrefix(p, "..") && !strings.HasPrefix(p, "../") {
		errs = append(errs, field.Invalid(at, p, "must not start with '..'"))
	}
	return errs
}

func mountPropagation(m *corev1.VolumeMount, c *corev1.Container, at *field.Path) field.ErrorList {
	if m.MountPropagation == nil {
		return nil
	}
	errs := validate.OneOf(*m.MountPropagation, at, corev1.MountPropagationBidirectional,
		corev1.MountPropagationHostToContainer, corev1.MountPropagationNone)
	privileged := c.SecurityContext != nil && isTrue(c.SecurityContext.Privileged)
	if *m.MountPropagation == corev1.MountPropagationBidirectional && !privileged {
		errs = append(errs, field.Forbidden(at, "Bidirectional mount propagation is available only to privileged containers"))
	}
	return errs
}

func recursiveReadOnly(m *corev1.VolumeMount, at *field.Path) field.ErrorList {
	if m.RecursiveReadOnly == nil || *m.RecursiveReadOnly == corev1.RecursiveReadOnlyDisabled {
		return nil
	}
	switch *m.RecursiveReadOnly {
	case corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible:
	default:
		return validate.OneOf(*m.RecursiveReadOnly, at, corev1.RecursiveReadOnlyDisabled,
			corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible)
	}
	var errs field.ErrorList
	if !m.ReadOnly {
		errs = append(errs, field.Forbidden(at, "may only be specified when readOnly is true"))
	}
	if m.MountPropagation != nil && *m.MountPropagation != corev1.MountPropagationNone {
		errs = append(errs, field.Forbidden(at, "may only be specified when mountPropagation is None or not specified"))
	}
	return errs
}

func (p *podCheck) volumeDevices(c *corev1.Container, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	paths, names := sets.New[string](), sets.New[string]()
	mounts := make(map[string]string, len(c.VolumeMounts))
	for _, m := range c.VolumeMounts {
		mounts[m.Name] = m.MountPath
	}
	mounted, mountPaths := sets.KeySet(mounts), sets.New(slices.Collect(maps.Values(mounts))...)
	for i, d := range c.VolumeDevices {
		idx := at.Index(i)
		if d.Name == "" {
			errs = append(errs, field.Required(idx.Child("name"), ""))
		}
		if names.Has(d.Name) {
			errs = append(errs, field.Invalid(idx.Child("name"), d.Name, "must be unique"))
		}
		errs = append(errs, p.blockVolume(d, idx)...)
		if d.DevicePath == "" {
			errs = append(errs, field.Required(idx.Child("devicePath"), ""))
		}
		if paths.Has(d.DevicePath) {
			errs = append(errs, field.Invalid(idx.Child("devicePath"), d.DevicePath, "must be unique"))
		}
		if len(noBacksteps(d.DevicePath, idx)) > 0 {
			errs = append(errs, field.Invalid(idx.Child("devicePath"), d.DevicePath, "can not contain backsteps ('..')"))
		} else {
			paths.Insert(d.DevicePath)
		}
		if d.Name != "" {
			names.Insert(d.Name)
		}
		if mounted.Has(d.Name) {
			errs = append(errs, field.Invalid(idx.Child("name"), d.Name, "must not already exist in volumeMounts"))
		}
		if mountPaths.Has(d.DevicePath) {
			errs = append(errs, field.Invalid(idx.Child("devicePath"), d.DevicePath, "must not already exist as a path in volumeMounts"))
		}
	}
	return errs
}

func (p *podCheck) blockVolume(d corev1.VolumeDevice, idx *field.Path) field.ErrorList {
	v := p.volumes[d.Name]
	if v == nil {
		return field.ErrorList{field.NotFound(idx.Child("name"), d.Name)}
	}
	if v.PersistentVolumeClaim == nil && v.Ephemeral == nil {
		return field.ErrorList{field.Invalid(idx.Child("name"), d.Name,
			"can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode")}
	}
	return nil
}
