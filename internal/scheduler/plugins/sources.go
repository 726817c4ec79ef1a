package plugins

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Sources are what plugins look up besides nodes and pods. Those that are nil
// find nothing. They are called from the scheduler's goroutine and must answer
// from memory.
type Sources struct {
	// Namespace gives a namespace's labels.
	Namespace func(name string) labels.Set
	// Services are those of a namespace.
	Services func(namespace string) []*corev1.Service
	// OwnerSelector is the selector of a pod's controller, if that is a
	// ReplicationController, ReplicaSet or StatefulSet.
	OwnerSelector func(namespace string, owner *metav1.OwnerReference) *metav1.LabelSelector
	// Volumes are for the storage plugins.
	Volumes Volumes
	// Devices are for DynamicResources.
	Devices Devices
}

func (s Sources) namespace(name string) labels.Set {
	if s.Namespace == nil {
		return nil
	}
	return s.Namespace(name)
}

// siblings selects the pods that belong together with this one: what the
// services that select it and its controller select; nil where there are
// neither.
func (s Sources) siblings(pod *corev1.Pod) labels.Selector {
	set := labels.Set{}
	if s.Services != nil {
		for _, svc := range s.Services(pod.Namespace) {
			if svc.Spec.Selector != nil && labels.SelectorFromValidatedSet(svc.Spec.Selector).Matches(labels.Set(pod.Labels)) {
				set = labels.Merge(set, svc.Spec.Selector)
			}
		}
	}
	out := labels.SelectorFromValidatedSet(set)
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil && s.OwnerSelector != nil {
		if more, err := metav1.LabelSelectorAsSelector(s.ownerSelector(pod.Namespace, owner)); err == nil {
			if requirements, ok := more.Requirements(); ok {
				out = out.Add(requirements...)
			}
		}
	}
	if out.Empty() {
		return nil
	}
	return out
}

// ownerSelector never gives nil, which would select nothing.
func (s Sources) ownerSelector(namespace string, owner *metav1.OwnerReference) *metav1.LabelSelector {
	if sel := s.OwnerSelector(namespace, owner); sel != nil {
		return sel
	}
	return &metav1.LabelSelector{}
}
