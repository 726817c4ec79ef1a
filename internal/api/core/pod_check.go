package core

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
)

// podCheck checks one pod spec. It is made for one check and then dropped.
type podCheck struct {
	meta *metav1.ObjectMeta
	spec *corev1.PodSpec
	// old is the spec before an update, nil on create: what it used stays
	// allowed.
	old *corev1.PodSpec
	// isPod tells a pod from a template.
	isPod bool
	// volumes are the valid volumes by name.
	volumes map[string]*corev1.VolumeSource
	// claims are the names of the pod's resource claims.
	claims sets.Set[string]
}

// isStatic tells a pod that mirrors one which its node has from elsewhere.
func (p *podCheck) isStatic() bool {
	if !p.isPod {
		return false
	}
	_, mirrors := p.meta.Annotations[corev1.MirrorPodAnnotationKey]
	return mirrors
}
