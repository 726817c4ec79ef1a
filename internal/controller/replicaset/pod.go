package replicaset

import (
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/controller/internal/own"
)

// newPod is a pod of the set's template.
func newPod(rs *appsv1.ReplicaSet) *corev1.Pod {
	t := &rs.Spec.Template
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: rs.Namespace, GenerateName: prefix(rs.Name),
			Labels: maps.Clone(t.Labels), Annotations: maps.Clone(t.Annotations), Finalizers: slices.Clone(t.Finalizers),
			OwnerReferences: []metav1.OwnerReference{own.Ref(rs, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
		},
		Spec: *t.Spec.DeepCopy(),
	}
}

// prefix of the pods' names: the set's name and a dash, where that is valid.
func prefix(name string) string {
	if with := name + "-"; len(validation.NameIsDNSSubdomain(with, true)) == 0 {
		return with
	}
	return name
}
