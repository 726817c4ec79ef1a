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
}

// oneSource checks the first source that is set and refuses every further
// one.
func oneSource(sources []source, path *field.Path) (count int, errs field.ErrorList) {
	for _, s := range sources {
		switch {
		case !s.set:
			continue
		case count > 0:
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
		{"emptyDir", s.EmptyDir != nil, func(f *field.Path) field.ErrorList { return emptyDir(s.EmptyDir, f) }},
		{"hostPath", s.HostPath != nil, func(f *field.Path) field.ErrorList { return hostPath(s.HostPath, f) }},
		{"gitRepo", s.GitRepo != nil, func(f *field.Path) field.ErrorList { return gitRepo(s.GitRepo, f) }},
		{"gcePersistentDisk", s.GCEPersistentDisk != nil, func(f *field.Path) field.ErrorList { return gceDisk(s.GCEPersistentDisk, f) }},
		{"awsElasticBlockStore", s.AWSElasticBlockStore != nil, func(f *field.Path) field.ErrorList { return awsDisk(s.AWSElasticBlockStore, f) }},
		{"secret", s.Secret != nil, func(f *field.Path) field.ErrorList { return secretVolume(s.Secret, f) }},
		{"nfs", s.NFS != nil, func(f *field.Path) field.ErrorList { return nfs(s.NFS, f) }},
		{"iscsi", s.ISCSI != nil, func(f *field.Path) field.ErrorList { return iscsiVolume(s.ISCSI, f) }},
		{"glusterfs", s.Glusterfs != nil, func(f *field.Path) field.ErrorList {
			return glusterfs(s.Glusterfs.EndpointsName, s.Glusterfs.Path, f)
		}},
		{"flocker", s.Flocker != nil, func(f *field.Path) field.ErrorList { return flocker(s.Flocker, f) }},
		{"persistentVolumeClaim", s.PersistentVolumeClaim != nil, func(f *field.Path) field.ErrorList {
			return requiredIf(s.PersistentVolumeClaim.ClaimName == "", f.Child("claimName"))
		}},
		{"rbd", s.RBD != nil, func(f *field.Path) field.ErrorList { return rbd(s.RBD.CephMonitors, s.RBD.RBDImage, f) }},
		{"cinder", s.Cinder != nil, func(f *field.Path) field.ErrorList { return requiredIf(s.Cinder.VolumeID == "", f.Child("volumeID")) }},
		{"cephFS", s.CephFS != nil, func(f *field.Path) field.ErrorList {
			return requiredIf(len(s.CephFS.Monitors) == 0, f.Child("monitors"))
		}},
		{"quobyte", s.Quobyte != nil, func(f *field.Path) field.ErrorList { return quobyte(s.Quobyte, f) }},
		// Upstream's error says downwarAPI.
		{"downwarAPI", s.DownwardAPI != nil, func(*field.Path) field.ErrorList {
			f := at.Child("downwardAPI")
			errs := fileMode(s.DownwardAPI.DefaultMode, f.Child("defaultMode"))
			return append(errs, downwardItems(s.DownwardAPI.Items, f)...)
		}},
		{"fc", s.FC != nil, func(f *field.Path) field.ErrorList { return fibreChannel(s.FC, f) }},
		{"flexVolume", s.FlexVolume != nil, func(f *field.Path) field.ErrorList { return requiredIf(s.FlexVolume.Driver == "", f.Child("driver")) }},
		{"configMap", s.ConfigMap != nil, func(f *field.Path) field.ErrorList { return configMapVolume(s.ConfigMap, f) }},
		{"azureFile", s.AzureFile != nil, func(f *field.Path) field.ErrorList {
			return azureFile(s.AzureFile.SecretName, s.AzureFile.ShareName, f)
		}},
		{"vsphereVolume", s.VsphereVolume != nil, func(f *field.Path) field.ErrorList {
			return requiredIf(s.VsphereVolume.VolumePath == "", f.Child("volumePath"))
		}},
		{"photonPersistentDisk", s.PhotonPersistentDisk != nil, func(f *field.Path) field.ErrorList {
			return requiredIf(s.PhotonPersistentDisk.PdID == "", f.Child("pdID"))
		}},
		{"portworxVolume", s.PortworxVolume != nil, func(f *field.Path) field.ErrorList {
			return requiredIf(s.PortworxVolume.VolumeID == "", f.Child("volumeID"))
		}},
		{"azureDisk", s.AzureDisk != nil, func(f *field.Path) field.ErrorList { return azureDisk(s.AzureDisk, f) }},
		{"storageos", s.StorageOS != nil, func(f *field.Path) field.ErrorList { return storageOS(s.StorageOS.VolumeName, f) }},
		{"projected", s.Projected != nil, func(f *field.Path) field.ErrorList { return projected(s.Projected, f) }},
		{"scaleIO", s.ScaleIO != nil, func(f *field.Path) field.ErrorList {
			return scaleIO(s.ScaleIO.Gateway, s.ScaleIO.System, s.ScaleIO.VolumeName, f)
		}},
		{"csi", s.CSI != nil, func(f *field.Path) field.ErrorList { return inlineCSI(s.CSI, f) }},
		{"ephemeral", s.Ephemeral != nil, func(f *field.Path) field.ErrorList { return p.ephemeralVolume(v, f, at) }},
		{"image", s.Image != nil, func(f *field.Path) field.ErrorList { return p.imageVolume(s.Image, f) }},
	}
}
