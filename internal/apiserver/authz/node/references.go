package node

import (
	corev1 "k8s.io/api/core/v1"
)

// usesSecret tells whether a pod needs a secret of its namespace: for images,
// environment or volumes, by itself or by the volumes behind its claims.
func (n *Authorizer) usesSecret(p *corev1.Pod, name string) bool {
	for _, ref := range p.Spec.ImagePullSecrets {
		if ref.Name == name {
			return true
		}
	}
	if anyContainer(p, func(c container) bool { return c.secret(name) }) {
		return true
	}
	for i := range p.Spec.Volumes {
		if volumeUsesSecret(&p.Spec.Volumes[i], name) || n.claimUsesSecret(p, &p.Spec.Volumes[i], name) {
			return true
		}
	}
	return false
}

// usesConfigMap tells whether a pod needs a config map of its namespace.
func usesConfigMap(p *corev1.Pod, name string) bool {
	if anyContainer(p, func(c container) bool { return c.configMap(name) }) {
		return true
	}
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		if v.ConfigMap != nil && v.ConfigMap.Name == name {
			return true
		}
		if v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if source.ConfigMap != nil && source.ConfigMap.Name == name {
				return true
			}
		}
	}
	return false
}

// container is what the three kinds of containers have in common here.
type container struct {
	env     []corev1.EnvVar
	envFrom []corev1.EnvFromSource
}

func (c container) secret(name string) bool {
	for _, e := range c.env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && e.ValueFrom.SecretKeyRef.Name == name {
			return true
		}
	}
	for _, e := range c.envFrom {
		if e.SecretRef != nil && e.SecretRef.Name == name {
			return true
		}
	}
	return false
}

func (c container) configMap(name string) bool {
	for _, e := range c.env {
		if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil && e.ValueFrom.ConfigMapKeyRef.Name == name {
			return true
		}
	}
	for _, e := range c.envFrom {
		if e.ConfigMapRef != nil && e.ConfigMapRef.Name == name {
			return true
		}
	}
	return false
}

func anyContainer(p *corev1.Pod, fn func(container) bool) bool {
	for i := range p.Spec.InitContainers {
		if fn(container{p.Spec.InitContainers[i].Env, p.Spec.InitContainers[i].EnvFrom}) {
			return true
		}
	}
	for i := range p.Spec.Containers {
		if fn(container{p.Spec.Containers[i].Env, p.Spec.Containers[i].EnvFrom}) {
			return true
		}
	}
	for i := range p.Spec.EphemeralContainers {
		if fn(container{p.Spec.EphemeralContainers[i].Env, p.Spec.EphemeralContainers[i].EnvFrom}) {
			return true
		}
	}
	return false
}

func volumeUsesSecret(v *corev1.Volume, name string) bool {
	if v.Secret != nil && v.Secret.SecretName == name || v.AzureFile != nil && v.AzureFile.SecretName == name {
		return true
	}
	if v.Projected != nil {
		for _, source := range v.Projected.Sources {
			if source.Secret != nil && source.Secret.Name == name {
				return true
			}
		}
	}
	for _, ref := range localRefs(v) {
		if ref != nil && ref.Name == name {
			return true
		}
	}
	return false
}

// localRefs are the secrets that drivers of volumes take.
func localRefs(v *corev1.Volume) []*corev1.LocalObjectReference {
	var out []*corev1.LocalObjectReference
	if v.CSI != nil {
		out = append(out, v.CSI.NodePublishSecretRef)
	}
	if v.CephFS != nil {
		out = append(out, v.CephFS.SecretRef)
	}
	if v.FlexVolume != nil {
		out = append(out, v.FlexVolume.SecretRef)
	}
	if v.RBD != nil {
		out = append(out, v.RBD.SecretRef)
	}
	if v.ISCSI != nil {
		out = append(out, v.ISCSI.SecretRef)
	}
	if v.ScaleIO != nil {
		out = append(out, v.ScaleIO.SecretRef)
	}
	if v.StorageOS != nil {
		out = append(out, v.StorageOS.SecretRef)
	}
	return out
}

// claimUsesSecret follows a claim to its volume and looks at the secrets that
// the driver takes on the node.
func (n *Authorizer) claimUsesSecret(p *corev1.Pod, v *corev1.Volume, name string) bool {
	if n.claims == nil || n.volumes == nil || v.PersistentVolumeClaim == nil {
		return false
	}
	claim, ok := n.claims.Get(p.Namespace, v.PersistentVolumeClaim.ClaimName)
	if !ok {
		return false
	}
	volume, ok := n.volumes.Get("", claim.Object.(*corev1.PersistentVolumeClaim).Spec.VolumeName)
	if !ok || volume.Object.(*corev1.PersistentVolume).Spec.CSI == nil {
		return false
	}
	csi := volume.Object.(*corev1.PersistentVolume).Spec.CSI
	for _, ref := range []*corev1.SecretReference{csi.NodePublishSecretRef, csi.NodeStageSecretRef, csi.NodeExpandSecretRef} {
		if ref != nil && ref.Name == name && ref.Namespace == p.Namespace {
			return true
		}
	}
	return false
}
