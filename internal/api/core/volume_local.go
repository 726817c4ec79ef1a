package core

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func emptyDir(s *corev1.EmptyDirVolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.SizeLimit != nil && s.SizeLimit.Sign() < 0 {
		errs = append(errs, field.Forbidden(at.Child("sizeLimit"), "SizeLimit field must be a valid resource quantity"))
	}
	return errs
}

func hostPath(s *corev1.HostPathVolumeSource, at *field.Path) field.ErrorList {
	if s.Path == "" {
		return field.ErrorList{field.Required(at.Child("path"), "")}
	}
	errs := noBacksteps(s.Path, at.Child("path"))
	if s.Type != nil {
		errs = append(errs, validate.OneOf(*s.Type, at.Child("type"),
			corev1.HostPathUnset, corev1.HostPathDirectoryOrCreate, corev1.HostPathDirectory, corev1.HostPathFileOrCreate,
			corev1.HostPathFile, corev1.HostPathSocket, corev1.HostPathCharDev, corev1.HostPathBlockDev)...)
	}
	return errs
}

func gitRepo(s *corev1.GitRepoVolumeSource, at *field.Path) field.ErrorList {
	errs := requiredIf(s.Repository == "", at.Child("repository"))
	return append(errs, descendingPath(s.Directory, at.Child("directory"))...)
}

func secretVolume(s *corev1.SecretVolumeSource, at *field.Path) field.ErrorList {
	errs := requiredIf(s.SecretName == "", at.Child("secretName"))
	errs = append(errs, fileMode(s.DefaultMode, at.Child("defaultMode"))...)
	return append(errs, keyItems(s.Items, at.Child("items"))...)
}

func configMapVolume(s *corev1.ConfigMapVolumeSource, at *field.Path) field.ErrorList {
	errs := requiredIf(s.Name == "", at.Child("name"))
	errs = append(errs, fileMode(s.DefaultMode, at.Child("defaultMode"))...)
	return append(errs, keyItems(s.Items, at.Child("items"))...)
}

// fileMode checks permission bits, given as a number.
func fileMode(mode *int32, at *field.Path) field.ErrorList {
	if mode == nil || (*mode >= 0 && *mode <= 0o777) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, *mode, "must be a number between 0 and 0777 (octal), both inclusive")}
}

func keyItems(items []corev1.KeyToPath, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range items {
		k, idx := &items[i], at.Index(i)
		errs = append(errs, requiredIf(k.Key == "", idx.Child("key"))...)
		if k.Path == "" {
			errs = append(errs, field.Required(idx.Child("path"), ""))
		}
		errs = append(errs, localFile(k.Path, idx.Child("path"))...)
		errs = append(errs, fileMode(k.Mode, idx.Child("mode"))...)
	}
	return errs
}

func downwardItems(items []corev1.DownwardAPIVolumeFile, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range items {
		f := &items[i]
		errs = append(errs, requiredIf(f.Path == "", at.Child("path"))...)
		errs = append(errs, localFile(f.Path, at.Child("path"))...)
		switch {
		case f.FieldRef != nil:
			errs = append(errs, fieldRef(f.FieldRef, volumeFields(), at.Child("fieldRef"))...)
			if f.ResourceFieldRef != nil {
				errs = append(errs, field.Invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
			}
		case f.ResourceFieldRef != nil:
			errs = append(errs, resourceFieldRef(f.ResourceFieldRef, true, at.Child("resourceFieldRef"))...)
		default:
			errs = append(errs, field.Required(at, "one of fieldRef and resourceFieldRef is required"))
		}
		errs = append(errs, fileMode(f.Mode, at.Child("mode"))...)
	}
	return errs
}

// ephemeralVolume checks a claim made with the pod; its name is made of the
// pod's and the volume's.
func (p *podCheck) ephemeralVolume(v *corev1.Volume, at, volume *field.Path) field.ErrorList {
	t := v.Ephemeral.VolumeClaimTemplate
	if t == nil {
		return field.ErrorList{field.Required(at.Child("volumeClaimTemplate"), "")}
	}
	path := at.Child("volumeClaimTemplate")
	errs := validate.Labels(t.Labels, path.Child("metadata", "labels"))
	errs = append(errs, validate.Annotations(t.Annotations, path.Child("metadata", "annotations"))...)
	errs = append(errs, claimTemplateMeta(t, path.Child("metadata"))...)
	errs = append(errs, ValidatePersistentVolumeClaimSpec(&t.Spec, path.Child("spec"))...)
	if p.isPod && p.meta.Name != "" && v.Name != "" {
		name := p.meta.Name + "-" + v.Name
		for _, why := range validate.Subdomain(name, false) {
			errs = append(errs, field.Invalid(volume.Child("name"), v.Name, "PVC name \""+name+"\": "+why))
		}
	}
	return errs
}

func claimTemplateMeta(t *corev1.PersistentVolumeClaimTemplate, at *field.Path) field.ErrorList {
	rest := t.ObjectMeta
	rest.Labels, rest.Annotations = nil, nil
	set := map[string]bool{
		"name": rest.Name != "", "generateName": rest.GenerateName != "", "namespace": rest.Namespace != "",
		"uid": rest.UID != "", "resourceVersion": rest.ResourceVersion != "", "finalizers": len(rest.Finalizers) > 0,
		"ownerReferences": len(rest.OwnerReferences) > 0,
	}
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(set)) {
		errs = append(errs, forbidden(set[name], at.Child(name), "cannot be set")...)
	}
	return errs
}

func (p *podCheck) imageVolume(s *corev1.ImageVolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if p.isPod {
		errs = append(errs, requiredIf(s.Reference == "", at.Child("reference"))...)
	}
	if s.PullPolicy != "" {
		errs = append(errs, validate.OneOf(s.PullPolicy, at.Child("pullPolicy"),
			corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
	}
	return errs
}
