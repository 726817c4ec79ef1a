package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodTemplateWarnings are the warnings for a template; old is nil on create.
func PodTemplateWarnings(t, old *corev1.PodTemplateSpec, path *field.Path) []string {
	if t == nil {
		return nil
	}
	w := podWarner{meta: &t.ObjectMeta, spec: &t.Spec, path: path}
	if old != nil {
		w.oldMeta, w.old = &old.ObjectMeta, &old.Spec
	}
	return w.all()
}

func warnPod(p, old *corev1.Pod, isUpdate bool) []string {
	w := podWarner{meta: &p.ObjectMeta, spec: &p.Spec}
	if isUpdate {
		w.oldMeta, w.old = &old.ObjectMeta, &old.Spec
	}
	return w.all()
}
