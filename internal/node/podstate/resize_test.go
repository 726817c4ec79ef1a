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

// What the pod as a whole asks for is granted, given to its cgroup, and told.
func TestWholePodIsResized(t *testing.T) {
	had, wants, now := cpus("100m"), cpus("200m"), epoch
	pod := testPod("a", "Always")
	v := view(t, pod, "vol sandbox run:a")
	v.Pod.Spec.Resources = had.DeepCopy()
	v.Allocated = AllocationOf(v.Pod)
	v.Whole = v.Allocated.Whole(v.Pod)
	if s := Status(v, now); Resizing(v) || s.Resources == nil || s.AllocatedResources.Cpu().String() != "100m" {
		t.Fatalf("before: %v, %+v, %v", Resizing(v), s.Resources, s.AllocatedResources)
	}
	v.Pod.Spec.Resources = wants.DeepCopy()
	if !Resizing(v) || len(Next(v, now).Actions) != 0 {
		t.Error("a resize is carried out before it is granted")
	}
	v.Allocated = AllocationOf(&corev1.Pod{Spec: v.Pod.Spec})
	got := Next(v, now).Actions
	if len(got) != 1 || got[0].Op != (Op{Kind: ResizeContainer, Target: WholeKey}) {
		t.Fatalf("granted: %+v", got)
	}
	if s := Status(v, now); s.Resources.Requests.Cpu().String() != "100m" || s.AllocatedResources.Cpu().String() != "200m" {
		t.Errorf("under way: %+v, %v", s.Resources, s.AllocatedResources)
	}
	v.Whole = v.Allocated.Whole(v.Pod)
	if Resizing(v) || Status(v, now).Resources.Requests.Cpu().String() != "200m" {
		t.Error("it is done and not told")
	}
	// An agent that starts again takes it up from the status.
	again := v.Pod.DeepCopy()
	again.Status = Status(v, now)
	again.Spec.Resources = &corev1.ResourceRequirements{Requests: cpus("300m").Requests}
	if a := AllocationOf(again); a.Whole(again).Requests.Cpu().String() != "200m" || !a.Asks(again) {
		t.Errorf("taken up: %+v", a.Whole(again))
	}
}
