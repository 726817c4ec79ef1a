package core

import (
	"path"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func validatePersistentVolume(v *corev1.PersistentVolume) field.ErrorList {
	return volumeRules(v, false)
}

// volumeRules checks a volume; loose: see volumeAffinity.
func volumeRules(v *corev1.PersistentVolume, loose bool) field.ErrorList {
	spec, s := field.NewPath("spec"), &v.Spec
	var errs field.ErrorList
	errs = append(errs, requiredIf(len(s.AccessModes) == 0, spec.Child("accessModes"))...)
	errs = append(errs, accessModes(s.AccessModes, spec.Child("accessModes"))...)
	errs = append(errs, volumeCapacity(s.Capacity, spec.Child("capacity"))...)
	if s.PersistentVolumeReclaimPolicy != "" {
		errs = append(errs, validate.OneOf(s.PersistentVolumeReclaimPolicy, spec.Child("persistentVolumeReclaimPolicy"),
			corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRecycle, corev1.PersistentVolumeReclaimRetain)...)
	}
	affinityErrs := volumeAffinity(s.NodeAffinity, loose, spec.Child("nodeAffinity"))
	errs = append(errs, affinityErrs...)
	count, sourceErrs := oneSource(persistentSources(s, v.Name, spec), spec)
	errs = append(errs, sourceErrs...)
	if count == 0 {
		errs = append(errs, field.Required(spec, "must specify a volume type"))
	}
	if s.HostPath != nil && path.Clean(s.HostPath.Path) == "/" && s.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle {
		errs = append(errs, field.Forbidden(spec.Child("persistentVolumeReclaimPolicy"), "may not be 'recycle' for a hostPath mount of '/'"))
	}
	errs = append(errs, optionalName(s.StorageClassName, spec.Child("storageClassName"))...)
	errs = append(errs, volumeMode(s.VolumeMode, spec)...)
	if n := s.VolumeAttributesClassName; n != nil {
		errs = append(errs, attributesClass(*n, s.CSI != nil, spec)...)
	}
	return errs
}

func attributesClass(name string, csi bool, spec *field.Path) field.ErrorList {
	at := spec.Child("volumeAttributesClassName")
	var errs field.ErrorList
	if name == "" {
		errs = append(errs, field.Required(at, "an empty string is disallowed"))
	} else {
		errs = validate.Name(validate.Subdomain, name, at)
	}
	if !csi {
		errs = append(errs, field.Required(spec.Child("csi"), "has to be specified when using volumeAttributesClassName"))
	}
	return errs
}

func volumeCapacity(c corev1.ResourceList, at *field.Path) field.ErrorList {
	errs := requiredIf(len(c) == 0, at)
	if _, ok := c[corev1.ResourceStorage]; !ok || len(c) > 1 {
		errs = append(errs, field.NotSupported(at, c, []string{string(corev1.ResourceStorage)}))
	}
	for _, name := range sortedResources(c) {
		q := c[name]
		errs = append(errs, wholeAmount(q, at.Key(string(name)))...)
		errs = append(errs, validate.PositiveQuantity(q, at.Key(string(name)))...)
	}
	return errs
}

// wholeAmount wants an amount that is a number of bytes and not below zero.
func wholeAmount(q resource.Quantity, at *field.Path) field.ErrorList {
	if n := q.Value(); n < 0 {
		return field.ErrorList{field.Invalid(at, n, "must be a valid resource quantity")}
	}
	return nil
}

// volumeAffinity checks where a volume can be used; loose lets values through
// that no label can have.
func volumeAffinity(a *corev1.VolumeNodeAffinity, loose bool, at *field.Path) field.ErrorList {
	switch {
	case a == nil:
		return nil
	case a.Required == nil:
		return field.ErrorList{field.Required(at.Child("required"), "must specify required node constraints")}
	case loose:
		return nodeSelector(a.Required, at.Child("required"))
	}
	return ValidateNodeSelector(a.Required, at.Child("required"))
}

// persistentSources lists the sources in the order in which they are looked
// at.
func persistentSources(s *corev1.PersistentVolumeSpec, volume string, spec *field.Path) []source {
	return []source{
		{name: "hostPath", set: s.HostPath != nil, check: func(f *field.Path) field.ErrorList { return hostPath(s.HostPath, f) }},
		{name: "gcePersistentDisk", set: s.GCEPersistentDisk != nil, check: func(*field.Path) field.ErrorList {
			return gceDisk(s.GCEPersistentDisk, spec.Child("persistentDisk")) // upstream's name in errors of volumes
		}},
		{name: "awsElasticBlockStore", set: s.AWSElasticBlockStore != nil, check: func(f *field.Path) field.ErrorList { return awsDisk(s.AWSElasticBlockStore, f) }},
		{name: "glusterfs", set: s.Glusterfs != nil, check: func(f *field.Path) field.ErrorList {
			return append(glusterfs(s.Glusterfs.EndpointsName, s.Glusterfs.Path, f), glusterfsNamespace(s.Glusterfs.EndpointsNamespace, f.Child("endpointsNamespace"))...)
		}},
		{name: "flocker", set: s.Flocker != nil, check: func(f *field.Path) field.ErrorList { return flocker(s.Flocker, f) }},
		{name: "nfs", set: s.NFS != nil, check: func(f *field.Path) field.ErrorList { return nfs(s.NFS, f) }},
		{name: "rbd", set: s.RBD != nil, check: func(f *field.Path) field.ErrorList { return rbd(s.RBD.CephMonitors, s.RBD.RBDImage, f) }},
		{name: "quobyte", set: s.Quobyte != nil, check: func(f *field.Path) field.ErrorList { return quobyte(s.Quobyte, f) }},
		{name: "cephFS", set: s.CephFS != nil, check: func(*field.Path) field.ErrorList {
			return requiredIf(len(s.CephFS.Monitors) == 0, spec.Child("cephfs", "monitors"))
		}},
		{name: "iscsi", set: s.ISCSI != nil, check: func(f *field.Path) field.ErrorList { return persistentISCSI(s.ISCSI, volume, f) }},
		{name: "cinder", set: s.Cinder != nil, check: func(f *field.Path) field.ErrorList { return persistentCinder(s.Cinder, f) }},
		{name: "fc", set: s.FC != nil, check: func(f *field.Path) field.ErrorList { return fibreChannel(s.FC, f) }},
		// Upstream lets a flex volume stand beside one that came before it.
		{name: "flexVolume", set: s.FlexVolume != nil, beside: true, check: func(f *field.Path) field.ErrorList {
			return flexVolume(s.FlexVolume.Driver, s.FlexVolume.Options, f)
		}},
		{name: "azureFile", set: s.AzureFile != nil, check: func(f *field.Path) field.ErrorList {
			return azureFile(s.AzureFile.SecretName, s.AzureFile.ShareName, f)
		}},
		{name: "vsphereVolume", set: s.VsphereVolume != nil, check: func(f *field.Path) field.ErrorList {
			return requiredIf(s.VsphereVolume.VolumePath == "", f.Child("volumePath"))
		}},
		{name: "photonPersistentDisk", set: s.PhotonPersistentDisk != nil, check: func(f *field.Path) field.ErrorList {
			return requiredIf(s.PhotonPersistentDisk.PdID == "", f.Child("pdID"))
		}},
		{name: "portworxVolume", set: s.PortworxVolume != nil, check: func(f *field.Path) field.ErrorList {
			return requiredIf(s.PortworxVolume.VolumeID == "", f.Child("volumeID"))
		}},
		{name: "azureDisk", set: s.AzureDisk != nil, check: func(f *field.Path) field.ErrorList { return azureDisk(s.AzureDisk, f) }},
		{name: "scaleIO", set: s.ScaleIO != nil, check: func(f *field.Path) field.ErrorList {
			return scaleIO(s.ScaleIO.Gateway, s.ScaleIO.System, s.ScaleIO.VolumeName, f)
		}},
		{name: "local", set: s.Local != nil, check: func(f *field.Path) field.ErrorList {
			errs := localVolume(s.Local, f)
			if s.NodeAffinity == nil {
				errs = append(errs, field.Required(spec.Child("nodeAffinity"), "Local volume requires node affinity"))
			}
			return errs
		}},
		{name: "storageos", set: s.StorageOS != nil, check: func(f *field.Path) field.ErrorList {
			return storageOS(s.StorageOS.VolumeName, s.StorageOS.VolumeNamespace, f)
		}},
		{name: "csi", set: s.CSI != nil, check: func(f *field.Path) field.ErrorList { return persistentCSI(s.CSI, f) }},
	}
}

func localVolume(l *corev1.LocalVolumeSource, at *field.Path) field.ErrorList {
	if l.Path == "" {
		return field.ErrorList{field.Required(at.Child("path"), "")}
	}
	return noBacksteps(l.Path, at.Child("path"))
}

func persistentCSI(s *corev1.CSIPersistentVolumeSource, at *field.Path) field.ErrorList {
	errs := csiDriver(s.Driver, at.Child("driver"))
	errs = append(errs, requiredIf(s.VolumeHandle == "", at.Child("volumeHandle"))...)
	for _, r := range []struct {
		name string
		ref  *corev1.SecretReference
	}{
		{"controllerPublishSecretRef", s.ControllerPublishSecretRef},
		{"controllerExpandSecretRef", s.ControllerExpandSecretRef},
		{"nodePublishSecretRef", s.NodePublishSecretRef},
		{"nodeExpandSecretRef", s.NodeExpandSecretRef},
	} {
		if r.ref == nil {
			continue
		}
		errs = append(errs, validate.ObjectName(r.ref.Name, at.Child(r.name, "name"))...)
		if ns := at.Child(r.name, "namespace"); r.ref.Namespace == "" {
			errs = append(errs, field.Required(ns, ""))
		} else {
			errs = append(errs, validate.Name(validate.Label, r.ref.Namespace, ns)...)
		}
	}
	return errs
}

func validatePersistentVolumeUpdate(v, old *corev1.PersistentVolume) field.ErrorList {
	// The volume as it is now is reported twice, as upstream does.
	errs := validate.StrictMeta(v, false, nil)
	had := old.Spec.NodeAffinity
	loose := had != nil && had.Required != nil && !valuesFit(had.Required)
	errs = append(errs, volumeRules(v, loose)...)
	errs = append(errs, volumeRules(v, loose)...)
	is, was := v.Spec.DeepCopy(), &old.Spec
	if is.CSI != nil && was.CSI != nil && was.CSI.ControllerExpandSecretRef == nil {
		is.CSI.ControllerExpandSecretRef = nil // it may be given later
	}
	if !apiequality.Semantic.DeepEqual(is.PersistentVolumeSource, was.PersistentVolumeSource) {
		const why = "spec.persistentvolumesource is immutable after creation"
		errs = append(errs, field.Forbidden(field.NewPath("spec", "persistentvolumesource"),
			why+"\n"+diff.Diff(validate.Shown(was.PersistentVolumeSource), validate.Shown(is.PersistentVolumeSource))))
	}
	errs = append(errs, validate.Immutable(is.VolumeMode, was.VolumeMode, field.NewPath("volumeMode"))...)
	errs = append(errs, affinityUpdate(is.NodeAffinity, was.NodeAffinity)...)
	return append(errs, forbidden(was.VolumeAttributesClassName != nil && is.VolumeAttributesClassName == nil,
		field.NewPath("spec", "volumeAttributesClassName"), "update from non-nil value to nil is forbidden")...)
}

// affinityUpdate lets a volume get an affinity, and deprecated labels in it
// be replaced by their newer names.
func affinityUpdate(is, was *corev1.VolumeNodeAffinity) field.ErrorList {
	if was == nil || apiequality.Semantic.DeepEqual(is, renamed(was, is)) {
		return nil
	}
	const why = "field is immutable, except for updating from beta label to GA"
	return field.ErrorList{field.Invalid(field.NewPath("nodeAffinity"), validate.Shown(is), why)}
}

// renamed is an affinity with the newer names of deprecated labels where the
// next one has them.
func renamed(was, next *corev1.VolumeNodeAffinity) *corev1.VolumeNodeAffinity {
	out := was.DeepCopy()
	if out.Required == nil || next == nil || next.Required == nil {
		return out
	}
	terms, wanted := out.Required.NodeSelectorTerms, next.Required.NodeSelectorTerms
	for i := range min(len(terms), len(wanted)) {
		renameKeys(terms[i].MatchExpressions, wanted[i].MatchExpressions)
		renameKeys(terms[i].MatchFields, wanted[i].MatchFields)
	}
	return out
}

// renameKeys takes a missing key for the newer name of one that has none: it
// is refused for itself, and not as a change.
func renameKeys(list, wanted []corev1.NodeSelectorRequirement) {
	newer := renamedLabels()
	for i := range min(len(list), len(wanted)) {
		if newer[list[i].Key] == wanted[i].Key {
			list[i].Key = wanted[i].Key
		}
	}
}

func persistentCinder(s *corev1.CinderPersistentVolumeSource, at *field.Path) field.ErrorList {
	errs := requiredIf(s.VolumeID == "", at.Child("volumeID"))
	if ref := s.SecretRef; ref != nil {
		errs = append(errs, requiredIf(ref.Name == "", at.Child("secretRef", "name"))...)
		errs = append(errs, requiredIf(ref.Namespace == "", at.Child("secretRef", "namespace"))...)
	}
	return errs
}
