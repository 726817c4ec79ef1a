package core

import (
	"maps"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
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

const minTokenSeconds, maxTokenSeconds = 10 * 60, 1 << 32

// projected checks every source and that no two of them write one path.
func projected(s *corev1.ProjectedVolumeSource, at *field.Path) field.ErrorList {
	errs := fileMode(s.DefaultMode, at.Child("defaultMode"))
	taken := sets.New[string]()
	for i := range s.Sources {
		src, idx := &s.Sources[i], at.Child("sources").Index(i)
		count := 0
		for _, one := range projections(src) {
			if one.set {
				count++
				errs = append(errs, one.check(idx.Child(one.name))...)
			}
		}
		if count > 1 {
			errs = append(errs, field.Forbidden(idx, "may not specify more than 1 volume type per source"))
		}
		for _, p := range projectedPaths(src) {
			if p == "" {
				continue
			}
			if taken.Has(p) {
				errs = append(errs, conflictingPath(src, p, at)...)
			}
			taken.Insert(p)
		}
	}
	return errs
}

func conflictingPath(src *corev1.VolumeProjection, p string, at *field.Path) field.ErrorList {
	name := ""
	switch {
	case src.Secret != nil:
		name = src.Secret.Name
	case src.ConfigMap != nil:
		name = src.ConfigMap.Name
	default:
		return field.ErrorList{field.Invalid(at, p, "conflicting duplicate paths")}
	}
	return field.ErrorList{field.Invalid(at, name, "conflicting duplicate paths")}
}

func projectedPaths(s *corev1.VolumeProjection) []string {
	var out []string
	switch {
	case s.Secret != nil:
		for _, item := range s.Secret.Items {
			out = append(out, item.Path)
		}
	case s.ConfigMap != nil:
		for _, item := range s.ConfigMap.Items {
			out = append(out, item.Path)
		}
	case s.DownwardAPI != nil:
		for _, item := range s.DownwardAPI.Items {
			out = append(out, item.Path)
		}
	case s.ServiceAccountToken != nil:
		out = append(out, s.ServiceAccountToken.Path)
	case s.ClusterTrustBundle != nil:
		out = append(out, s.ClusterTrustBundle.Path)
	case s.PodCertificate != nil:
		out = append(out, s.PodCertificate.CredentialBundlePath, s.PodCertificate.KeyPath, s.PodCertificate.CertificateChainPath)
	}
	return out
}

func projections(s *corev1.VolumeProjection) []source {
	return []source{
		{name: "secret", set: s.Secret != nil, check: func(f *field.Path) field.ErrorList {
			return append(requiredIf(s.Secret.Name == "", f.Child("name")), keyItems(s.Secret.Items, f.Child("items"))...)
		}},
		{name: "configMap", set: s.ConfigMap != nil, check: func(f *field.Path) field.ErrorList {
			return append(requiredIf(s.ConfigMap.Name == "", f.Child("name")), keyItems(s.ConfigMap.Items, f.Child("items"))...)
		}},
		{name: "downwardAPI", set: s.DownwardAPI != nil, check: func(f *field.Path) field.ErrorList {
			return downwardItems(s.DownwardAPI.Items, f)
		}},
		{name: "serviceAccountToken", set: s.ServiceAccountToken != nil, check: func(f *field.Path) field.ErrorList {
			return tokenProjection(s.ServiceAccountToken, f)
		}},
		{name: "clusterTrustBundle", set: s.ClusterTrustBundle != nil, check: func(f *field.Path) field.ErrorList {
			return requiredIf(s.ClusterTrustBundle.Path == "", f.Child("path"))
		}},
		{name: "podCertificate", set: s.PodCertificate != nil, check: func(f *field.Path) field.ErrorList {
			return requiredIf(s.PodCertificate.SignerName == "", f.Child("signerName"))
		}},
	}
}

func tokenProjection(t *corev1.ServiceAccountTokenProjection, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if t.ExpirationSeconds != nil {
		switch s := *t.ExpirationSeconds; {
		case s < minTokenSeconds:
			errs = append(errs, field.Invalid(at.Child("expirationSeconds"), s, "may not specify a duration less than 10 minutes"))
		case s > maxTokenSeconds:
			errs = append(errs, field.Invalid(at.Child("expirationSeconds"), s, "may not specify a duration larger than 2^32 seconds"))
		}
	}
	if t.Path == "" {
		return append(errs, field.Required(at.Child("path"), ""))
	}
	return append(errs, localFile(path.Clean(t.Path), at.Child("path"))...)
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
