package podstate

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// A resize that was asked for is in progress until the instance has been given
// its new resources; only then the pod's status says nothing of it.
func TestResizeIsToldUntilItIsDone(t *testing.T) {
	cpu := func(quantity string) corev1.ResourceRequirements {
		return corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(quantity)}}
	}
	pod := testPod("a b", "Always")
	pod.Spec.Containers[0].Resources = cpu("20m")
	v := view(t, pod, "vol sandbox run:a run:b")
	first := v.Newest(pod.Spec.Containers[0].Name).ID()
	v.Resized[first] = cpu("10m")
	s := Status(v, epoch)
	if c := condition(&s, corev1.PodResizeInProgress); c.Status != corev1.ConditionTrue {
		t.Errorf("while the instance has other resources: %+v", s.Conditions)
	}
	if got := s.ContainerStatuses[0].Resources.Requests.Cpu().String(); got != "10m" {
		t.Errorf("resources %s, want what the instance has", got)
	}
	if got := s.ContainerStatuses[0].AllocatedResources.Cpu().String(); got != "20m" {
		t.Errorf("allocated %s, want what was granted", got)
	}
	pod.Status = s
	v.Resized[first] = cpu("20m")
	s = Status(v, epoch)
	if c := findCondition(s.Conditions, corev1.PodResizeInProgress); c != nil {
		t.Errorf("after it is done: %+v", *c)
	}
}
