package builtin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// runtimeClass gives new pods the overhead, node selector and tolerations of
// their runtime class (KEP-585, KEP-688), and refuses what contradicts them.
func runtimeClass(l lookup) admission.Plugin {
	return admission.Plugin{
		Name: "RuntimeClass",
		Mutate: func(_ context.Context, a *admission.Attributes) error {
			pod, isPod := newPod(a)
			if !isPod || pod.Spec.RuntimeClassName == nil {
				return nil
			}
			name := *pod.Spec.RuntimeClassName
			class, found := get[*nodev1.RuntimeClass](l, nodev1.GroupName, "v1", "runtimeclasses", "", name)
			if !found {
				return admission.Forbidden(a, fmt.Errorf("pod rejected: RuntimeClass %q not found", name))
			}
			if err := errors.Join(takeOverhead(pod, class), takeScheduling(pod, class.Scheduling)); err != nil {
				return admission.Forbidden(a, err)
			}
			return nil
		},
		Validate: func(_ context.Context, a *admission.Attributes) error {
			pod, isPod := newPod(a)
			if !isPod || pod.Spec.RuntimeClassName != nil || len(pod.Spec.Overhead) == 0 {
				return nil
			}
			return admission.Forbidden(a, errors.New("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"))
		},
	}
}

func newPod(a *admission.Attributes) (*corev1.Pod, bool) {
	pod, isPod := a.Object.(*corev1.Pod)
	return pod, isPod && a.Operation == admission.Create && a.Subresource == ""
}

func takeOverhead(pod *corev1.Pod, class *nodev1.RuntimeClass) error {
	var overhead corev1.ResourceList
	if class.Overhead != nil {
		overhead = class.Overhead.PodFixed
	}
	if len(pod.Spec.Overhead) > 0 && !apiequality.Semantic.DeepEqual(pod.Spec.Overhead, overhead) {
		return errors.New("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
	}
	pod.Spec.Overhead = overhead.DeepCopy()
	return nil
}

func takeScheduling(pod *corev1.Pod, s *nodev1.Scheduling) error {
	if s == nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(s.NodeSelector)) {
		want := s.NodeSelector[key]
		if have, has := pod.Spec.NodeSelector[key]; has && have != want {
			return fmt.Errorf("pod rejected: conflict: runtimeClass.scheduling.nodeSelector[%s] = %s; pod.spec.nodeSelector[%s] = %s", key, want, key, have)
		}
		if pod.Spec.NodeSelector == nil {
			pod.Spec.NodeSelector = map[string]string{}
		}
		pod.Spec.NodeSelector[key] = want
	}
	for _, t := range s.Tolerations {
		if !slices.ContainsFunc(pod.Spec.Tolerations, func(have corev1.Toleration) bool { return apiequality.Semantic.DeepEqual(have, t) }) {
			pod.Spec.Tolerations = append(pod.Spec.Tolerations, *t.DeepCopy())
		}
	}
	return nil
}
