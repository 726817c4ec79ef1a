package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// source is one way to give a volume its contents; exactly one must be set.
type source struct {
	name  string
	set   bool
	check func(path *field.Path) field.ErrorList
	// beside lets it be set though another one is.
	beside bool
}

// oneSource checks the first source that is set and refuses every further
// one.
func oneSource(sources []source, path *field.Path) (count int, errs field.ErrorList) {
	for _, s := range sources {
		switch {
		case !s.set:
			continue
		case count > 0 && !s.beside:
			errs = append(errs, field.Forbidden(path.Child(s.name), "may not specify more than 1 volume type"))
		case s.check != nil:
			errs = append(errs, s.check(path.Child(s.name))...)
		}
		count++
	}
	return count, errs
}

// checkVolumes fills p.volumes with those that are in order, by name.
func (p *podCheck) checkVolumes(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	p.volumes = make(map[string]*corev1.VolumeSource, len(p.spec.Volumes))
	for i := range p.spec.Volumes {
		v, at := &p.spec.Volumes[i], path.Index(i)
		own := p.volumeSource(v, at)
		if v.Name == "" {
			own = append(own, field.Required(at.Child("name"), ""))
		} else {
			own = append(own, validate.DNS1123Label(v.Name, at.Child("name"))...)
		}
		if p.volumes[v.Name] != nil {
			own = append(own, field.Duplicate(at.Child("name"), v.Name))
		}
		if len(own) == 0 {
			p.volumes[v.Name] = &v.VolumeSource
		}
		errs = append(errs, own...)
	}
	return errs
}

func (p *podCheck) volumeSource(v *corev1.Volume, path *field.Path) field.ErrorList {
	count, errs := oneSource(p.volumeSources(v, path), path)
	if count == 0 {
		errs = append(errs, field.Required(path, "must specify a volume type"))
	}
	return errs
}

// volumeSources lists the sources in the order in which they are looked at.
func (p *podCheck) volumeSources(v *corev1.Volume, at *field.Path) []source {
	s := &v.VolumeSource
	return []source{
		{name: "emptyDir", set: s.EmptyDir != nil, check: func(f *field.Path) field.ErrorList { return emptyDir(s.EmptyDir, f) }},
		{name: "hostPath", set: s.HostPath != nil, check: func(f *field.Path) field.ErrorList { return hostPath(s.HostPath, f) }},
		{name: "gitRepo", set: s.GitRepo != nil, check: func(f *field.Path) field.ErrorList { return gitRepo(s.GitRepo, f) }},
		{name: "gcePersistentDisk", set: s.GCEPersistentDisk != nil, check: func(*field.Path) field.ErrorList {
			return gceDisk(s.GCEPersistentDisk, at.Child("persistentDisk")) // upstream's name in errors
		}},
		{name: "awsElasticBlockStore", set: s.AWSElasticBlockStore != nil, check: func(f *field.Path) field.ErrorList { return awsDisk(s.AWSElasticBlockStore, f) }},
		{name: "secret", set: s.Secret != nil, check: func(f *field.Path) field.ErrorList { return secretVolume(s.Secret, f) }},
		{name: "nfs", set: s.NFS != nil, check: func(f *field.Path) field.ErrorList { return nfs(s.NFS, f) }},
		{name: "iscsi", set: s.ISCSI != nil, check: func(f *field.Path) field.ErrorList { return iscsiVolume(s.ISCSI, f) }},
		{name: "glusterfs", set: s.Glusterfs != nil, check: func(f *field.Path) field.ErrorList {
			return glusterfs(s.Glusterfs.EndpointsName, s.Glusterfs.Path, f)
		}},
		{name: "flocker", set: s.Flocker != nil, check: func(f *field.Path) field.ErrorList { return flocker(s.Flocker, f) }},
		{name: "persistentVolumeClaim", set: s.PersistentVolumeClaim != nil, check: func(f *field.Path) field.ErrorList {
			return requiredIf(s.PersistentVolumeClaim.ClaimName == "", f.Child("claimName"))
		}},
		{name: "rbd", set: s.RBD != nil, check: func(f *field.Path) field.ErrorList { return rbd(s.RBD.CephMonitors, s.RBD.RBDImage, f) }},
		{name: "cinder", set: s.Cinder != nil, check: func(f *field.Path) field.ErrorList { return requiredIf(s.Cinder.VolumeID == "", f.Child("volumeID")) }},
		// Of a second source upstream says cephFS, of what is missing cephfs.
		{name: "cephFS", set: s.CephFS != nil, check: func(*field.Path) field.ErrorList {
			return requiredIf(len(s.CephFS.Monitors) == 0, at.Child("cephfs", "monitors"))
		}},
		{name: "quobyte", set: s.Quobyte != nil, check: func(f *field.Path) field.ErrorList { return quobyte(s.Quobyte, f) }},
		// Upstream's error says downwarAPI.
		{name: "downwarAPI", set: s.DownwardAPI != nil, check: func(*field.Path) field.ErrorList {
			f := at.Child("downwardAPI")
			errs := fileMode(s.DownwardAPI.DefaultMode, f.Child("defaultMode"))
			return append(errs, downwardItems(s.DownwardAPI.Items, f)...)
		}},
		{name: "fc", set: s.FC != nil, check: func(f *field.Path) field.ErrorList { return fibreChannel(s.FC, f) }},
		{name: "flexVolume", set: s.FlexVolume != nil, check: func(f *field.Path) field.ErrorList {
			return flexVolume(s.FlexVolume.Driver, s.FlexVolume.Options, f)
		}},
		{name: "configMap", set: s.ConfigMap != nil, check: func(f *field.Path) field.ErrorList { return configMapVolume(s.ConfigMap, f) }},
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
		{name: "storageos", set: s.StorageOS != nil, check: func(f *field.Path) field.ErrorList {
			return storageOS(s.StorageOS.VolumeName, s.StorageOS.VolumeNamespace, f)
		}},
		{name: "projected", set: s.Projected != nil, check: func(f *field.Path) field.ErrorList { return projected(s.Projected, f) }},
		{name: "scaleIO", set: s.ScaleIO != nil, check: func(f *field.Path) field.ErrorList {
			return scaleIO(s.ScaleIO.Gateway, s.ScaleIO.System, s.ScaleIO.VolumeName, f)
		}},
		{name: "csi", set: s.CSI != nil, check: func(f *field.Path) field.ErrorList { return inlineCSI(s.CSI, f) }},
		{name: "ephemeral", set: s.Ephemeral != nil, check: func(f *field.Path) field.ErrorList { return p.ephemeralVolume(v, f, at) }},
		{name: "image", set: s.Image != nil, check: func(f *field.Path) field.ErrorList { return p.imageVolume(s.Image, f) }},
	}
}
