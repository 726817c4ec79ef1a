package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api/optional"
)

const (
	podFileMode            = int32(0o644)
	tokenSeconds           = int64(3600)
	podCertificateSeconds  = int32(86400)
	defaultISCSIInterface  = "default"
	defaultRBDPool         = "rbd"
	defaultRBDUser         = "admin"
	defaultRBDKeyring      = "/etc/ceph/keyring"
	defaultScaleIOMode     = "ThinProvisioned"
	defaultScaleIOFSType   = "xfs"
	defaultAzureDiskFSType = "ext4"
)

func defaultVolume(v *corev1.Volume) {
	s := &v.VolumeSource
	if *s == (corev1.VolumeSource{}) {
		s.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	if s.Secret != nil {
		optional.Default(&s.Secret.DefaultMode, podFileMode)
	}
	if s.ConfigMap != nil {
		optional.Default(&s.ConfigMap.DefaultMode, podFileMode)
	}
	if s.DownwardAPI != nil {
		optional.Default(&s.DownwardAPI.DefaultMode, podFileMode)
		defaultDownwardItems(s.DownwardAPI.Items)
	}
	if s.Projected != nil {
		defaultProjected(s.Projected)
	}
	if s.HostPath != nil {
		optional.Default(&s.HostPath.Type, corev1.HostPathUnset)
	}
	if s.Ephemeral != nil && s.Ephemeral.VolumeClaimTemplate != nil {
		DefaultPersistentVolumeClaimSpec(&s.Ephemeral.VolumeClaimTemplate.Spec)
	}
	if s.Image != nil && s.Image.PullPolicy == "" {
		s.Image.PullPolicy = pullPolicyOf(s.Image.Reference)
	}
	defaultNetworkVolume(s)
}

func defaultProjected(p *corev1.ProjectedVolumeSource) {
	optional.Default(&p.DefaultMode, podFileMode)
	p.Sources = nilIfEmpty(p.Sources)
	for i := range p.Sources {
		src := &p.Sources[i]
		if src.DownwardAPI != nil {
			defaultDownwardItems(src.DownwardAPI.Items)
		}
		if src.ServiceAccountToken != nil {
			optional.Default(&src.ServiceAccountToken.ExpirationSeconds, tokenSeconds)
		}
		if src.PodCertificate != nil {
			optional.Default(&src.PodCertificate.MaxExpirationSeconds, podCertificateSeconds)
		}
	}
}

func defaultDownwardItems(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		defaultFieldRef(items[i].FieldRef)
		defaultDivisor(items[i].ResourceFieldRef)
	}
}

func defaultNetworkVolume(s *corev1.VolumeSource) {
	if s.ISCSI != nil {
		orSet(&s.ISCSI.ISCSIInterface, defaultISCSIInterface)
	}
	if s.RBD != nil {
		orSet(&s.RBD.RBDPool, defaultRBDPool)
		orSet(&s.RBD.RadosUser, defaultRBDUser)
		orSet(&s.RBD.Keyring, defaultRBDKeyring)
	}
	if s.ScaleIO != nil {
		orSet(&s.ScaleIO.StorageMode, defaultScaleIOMode)
		orSet(&s.ScaleIO.FSType, defaultScaleIOFSType)
	}
	defaultAzureDisk(s.AzureDisk)
}

func defaultAzureDisk(d *corev1.AzureDiskVolumeSource) {
	if d == nil {
		return
	}
	optional.Default(&d.CachingMode, corev1.AzureDataDiskCachingReadWrite)
	optional.Default(&d.Kind, corev1.AzureSharedBlobDisk)
	optional.Default(&d.FSType, defaultAzureDiskFSType)
	optional.Default(&d.ReadOnly, false)
}
