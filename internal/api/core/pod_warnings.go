package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodTemplateWarnings are the warnings for a template, on create (old is nil)
// and on an update: what was there before is warned of again.
func PodTemplateWarnings(t, _ *corev1.PodTemplateSpec, path *field.Path) []string {
	w := podWarner{meta: &t.ObjectMeta, spec: &t.Spec, path: path}
	return w.all()
}

// warnPod warns on create only: pods are updated by programs.
func warnPod(p, _ *corev1.Pod, isUpdate bool) []string {
	if isUpdate {
		return nil
	}
	w := podWarner{meta: &p.ObjectMeta, spec: &p.Spec}
	if why := validation.IsDNS1123Label(p.Name); len(why) > 0 {
		w.add("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: %v", why)
	}
	return w.all()
}
