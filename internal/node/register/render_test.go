package register

import (
	"errors"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/eviction"
)

var epoch = time.Unix(1_700_000_000, 0)

func machine() *Machine {
	return &Machine{CPUs: 4, MemoryBytes: 8 << 30, StorageBytes: 100 << 30, HugePages: map[string]int64{"hugepages-2Mi": 1 << 30},
		Info: corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "amd64"}}
}

func config() *Config {
	return &Config{Name: "n", Hostname: "host", Addresses: []string{"192.0.2.1"}, Port: 10250, Version: "v1.36.0", MaxPods: 110, Machine: machine()}
}

func up(network bool) *runtimeapi.StatusResponse {
	return &runtimeapi.StatusResponse{Status: &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{
		{Type: runtimeapi.RuntimeReady, Status: true}, {Type: runtimeapi.NetworkReady, Status: network, Reason: "NoRange", Message: "no range"},
	}}}
}

func TestResources(t *testing.T) {
	reserved := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("100Gi")}
	c, a := machine().Capacity(110), machine().Allocatable(110, reserved, eviction.Default())
	for name, want := range map[corev1.ResourceName][2]string{
		corev1.ResourceCPU: {"4", "3500m"}, corev1.ResourceMemory: {"8Gi", "0"}, corev1.ResourcePods: {"110", "110"},
		corev1.ResourceEphemeralStorage: {"100Gi", "99Gi"}, "hugepages-2Mi": {"1Gi", "1Gi"},
	} {
		have, give := c[name], a[name]
		if have.String() != want[0] || give.Cmp(resource.MustParse(want[1])) != 0 {
			t.Errorf("%s: %s of %s, want %v", name, give.String(), have.String(), want)
		}
	}
	plain := machine().Allocatable(110, nil, eviction.Default())
	if got := plain.Memory().Value(); got != 8<<30-1<<30-100<<20 {
		t.Errorf("memory without huge pages and the eviction threshold: %d", got)
	}
}

func TestConditions(t *testing.T) {
	cases := []struct {
		name          string
		o             Observed
		ready, reason string
		message       string
		memory        corev1.ConditionStatus
	}{
		{"well", Observed{Runtime: up(true)}, "True", "KubeletReady", "kubelet is posting ready status", "False"},
		{"no network", Observed{Runtime: up(false)}, "False", "KubeletNotReady",
			"container runtime network not ready: NetworkReady=false reason:NoRange message:no range", "False"},
		{"no runtime", Observed{RuntimeError: errors.New("gone")}, "False", "KubeletNotReady", "container runtime is down: gone", "False"},
		{"stopping", Observed{Runtime: up(true), Stopping: true}, "False", "KubeletNotReady", "node is shutting down", "False"},
		{"little memory", Observed{Runtime: up(true), Pressure: func(c corev1.NodeConditionType) bool { return c == corev1.NodeMemoryPressure }}, "True", "KubeletReady", "kubelet is posting ready status", "True"},
	}
	for _, tc := range cases {
		tc.o.Machine = machine()
		s := nodeStatus(&corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: "Own", Status: "True"}}}, config(), &tc.o, epoch)
		if len(s.Conditions) != 5 || s.Conditions[0].Type != "Own" {
			t.Errorf("%s: conditions %+v", tc.name, s.Conditions)
		}
		for _, c := range s.Conditions {
			if c.Type == corev1.NodeReady && (string(c.Status) != tc.ready || c.Reason != tc.reason || c.Message != tc.message) {
				t.Errorf("%s: %+v", tc.name, c)
			}
			if c.Type == corev1.NodeMemoryPressure && c.Status != tc.memory {
				t.Errorf("%s: %+v", tc.name, c)
			}
		}
	}
}

func TestStatusKeepsTransitionsAndExtendedResources(t *testing.T) {
	o := &Observed{Machine: machine(), Runtime: up(true)}
	first := nodeStatus(&corev1.NodeStatus{Capacity: corev1.ResourceList{"example.com/gpu": resource.MustParse("2")}}, config(), o, epoch)
	second := nodeStatus(&first, config(), o, epoch.Add(time.Hour))
	if !sameStatus(&first, &second) {
		t.Error("an unchanged status differs")
	}
	for _, c := range second.Conditions {
		if !c.LastTransitionTime.Time.Equal(epoch) || !c.LastHeartbeatTime.Time.Equal(epoch.Add(time.Hour)) {
			t.Errorf("%+v", c)
		}
	}
	if len(second.DeclaredFeatures) != 2 || !slices.IsSorted(second.DeclaredFeatures) {
		t.Errorf("declared features %v", second.DeclaredFeatures)
	}
	if q := second.Capacity["example.com/gpu"]; q.Value() != 2 {
		t.Errorf("an extended resource is lost: %v", second.Capacity)
	}
	o.Runtime = up(false)
	if third := nodeStatus(&second, config(), o, epoch.Add(time.Hour)); sameStatus(&second, &third) {
		t.Error("a change goes unnoticed")
	}
}

func TestImagesAreBounded(t *testing.T) {
	var images []*runtimeapi.Image
	for i := range 60 {
		images = append(images, &runtimeapi.Image{Id: string(rune('a' + i)), Size: uint64(i), RepoTags: []string{"x"}})
	}
	const maxImages = 50
	got := imageList(append(images, &runtimeapi.Image{Id: "nameless", Size: 1000}), maxImages)
	if len(got) != maxImages-1 || got[0].SizeBytes != 59 {
		t.Errorf("%d images, the first of %d bytes", len(got), got[0].SizeBytes)
	}
}
