package podstate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func cpus(request string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(request)}}
}

func sized(request string) *corev1.Pod {
	pod := testPod("a", "Always")
	pod.Generation = 2
	pod.Spec.Containers[0].Resources = cpus(request)
	return pod
}

func TestResize(t *testing.T) {
	allocatable := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4")}
	cases := []struct {
		name, had, asks, others string
		want                    *Pending
	}{
		{"fits", "1", "2", "1", nil},
		{"all that is left", "1", "3", "1", nil},
		{"too much now", "1", "3", "2", &Pending{"Deferred", "Node didn't have enough resource: cpu, requested: 3000, used: 2000, capacity: 4000", 2}},
		{"too much ever", "1", "5", "1", &Pending{"Infeasible", "Node didn't have enough capacity: cpu, requested: 5000, capacity: 4000", 2}},
		{"less of too much", "3", "2", "3", nil},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got := Resize(sized(tc.asks), AllocationOf(sized(tc.had)), []*corev1.Pod{sized(tc.others)}, allocatable)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAllocation(t *testing.T) {
	pod := sized("2")
	granted := AllocationOf(sized("1"))
	if !granted.Asks(pod) || granted.Asks(sized("1")) || Allocation(nil).Asks(pod) {
		t.Error("Asks")
	}
	if got := granted.Apply(pod).Spec.Containers[0].Resources.Requests.Cpu().String(); got != "1" {
		t.Errorf("with what it was granted the pod has %s", got)
	}
	if got := pod.Spec.Containers[0].Resources.Requests.Cpu().String(); got != "2" {
		t.Errorf("the pod itself was changed to %s", got)
	}
	had := cpus("500m")
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "a", ContainerID: "x://1", Resources: &had, AllocatedResources: had.Requests}}
	if got := AllocationOf(pod).Of(&pod.Spec.Containers[0]); !sameResources(got, had) {
		t.Errorf("of a container that ran: %+v", got)
	}
}

func TestResizeConditions(t *testing.T) {
	cases := []struct {
		name              string
		granted, given    string
		pending           *Pending
		failed            string
		wantPending, want string // reasons; "-" for none
	}{
		{"nothing", "2", "2", nil, "", "-", "-"},
		{"not decided", "1", "1", nil, "", "-", ""},
		{"deferred", "1", "1", &Pending{"Deferred", "m", 2}, "", "Deferred", "-"},
		{"an older answer", "1", "1", &Pending{"Deferred", "m", 1}, "", "-", ""},
		{"under way", "2", "1", nil, "", "-", ""},
		{"failed", "2", "1", nil, "no", "-", "Error"},
	}
	reason := func(list []corev1.PodCondition, kind corev1.PodConditionType) string {
		if c := findCondition(list, kind); c != nil {
			return c.Reason
		}
		return "-"
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			v := view(t, sized("2"), "vol sandbox run:a")
			id := v.Newest("a").ID()
			v.Allocated, v.Pending, v.Resized[id] = AllocationOf(sized(tc.granted)), tc.pending, cpus(tc.given)
			if tc.failed != "" {
				v.ResizeFailed[id] = tc.failed
			}
			got := Status(v, epoch).Conditions
			if p, r := reason(got, corev1.PodResizePending), reason(got, corev1.PodResizeInProgress); p != tc.wantPending || r != tc.want {
				t.Errorf("pending %q, in progress %q", p, r)
			}
		})
	}
}

func TestResizePolicy(t *testing.T) {
	for _, policy := range []corev1.ResourceResizeRestartPolicy{corev1.NotRequired, corev1.RestartContainer} {
		pod := sized("2")
		pod.Spec.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceCPU, RestartPolicy: policy}}
		v := view(t, pod, "vol sandbox run:a")
		v.Resized[v.Newest("a").ID()] = cpus("1")
		want := ResizeContainer
		if policy == corev1.RestartContainer {
			want = StopContainer
		}
		got := Next(v, epoch).Actions
		if len(got) != 1 || got[0].Kind != want || got[0].Replace != (want == StopContainer) {
			t.Errorf("%s: planned %+v", policy, got)
		}
	}
}
