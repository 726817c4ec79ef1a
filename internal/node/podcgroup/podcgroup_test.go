package podcgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/cgroups"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func pod(uid string, requests, limits string) *corev1.Pod {
	list := func(cpu string) corev1.ResourceList {
		if cpu == "" {
			return nil
		}
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("64Mi")}
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid)}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "c", Resources: corev1.ResourceRequirements{Requests: list(requests), Limits: list(limits)},
	}}}}
}

func TestPodResources(t *testing.T) {
	cases := []struct {
		name          string
		pod           *corev1.Pod
		shares        uint64
		quota, memory int64
	}{
		{"nothing", pod("a", "", ""), 2, 0, 0},
		{"requests", pod("a", "250m", ""), 256, 0, 0},
		{"limits", pod("a", "250m", "500m"), 256, 50000, 64 << 20},
	}
	for _, tc := range cases {
		r := New(Options{}).podResources(tc.pod)
		if r.CpuShares != tc.shares || r.CpuQuota != tc.quota || r.Memory != tc.memory {
			t.Errorf("%s: shares %d, quota %d, memory %d", tc.name, r.CpuShares, r.CpuQuota, r.Memory)
		}
	}
	two := pod("a", "250m", "500m")
	two.Spec.Containers = append(two.Spec.Containers, corev1.Container{Name: "d"})
	if r := New(Options{}).podResources(two); r.CpuQuota != 0 || r.Memory != 0 {
		t.Errorf("a container without limits is limited with its pod: %+v", r)
	}
	two.Spec.Resources = &corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m")},
		Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("128Mi")},
	}
	if r := New(Options{}).podResources(two); r.CpuShares != 512 || r.CpuQuota != 100000 || r.Memory != 128<<20 {
		t.Errorf("a pod with limits of its own: %+v", r)
	}
}

func TestGroupsComeAndGo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test makes cgroups: run it as root")
	}
	root := fmt.Sprintf("knarr-test-%d", os.Getpid()) // no other run of the test has it
	m := New(Options{Root: root, PIDs: 64})
	top, err := m.group("/"+root, &cgroups.Resources{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := top.Destroy(); err != nil {
			t.Error(err)
		}
	})
	a, b := pod("a", "500m", ""), pod("b", "250m", "")
	for _, p := range []*corev1.Pod{a, b, pod("c", "", "")} {
		if err := m.Ensure(p); err != nil {
			t.Fatal(err)
		}
	}
	if cgroups.IsCgroup2UnifiedMode() {
		read(t, filepath.Join("/sys/fs/cgroup", root, "kubepods/burstable/cpu.weight"))
	} else if got := read(t, filepath.Join("/sys/fs/cgroup/cpu", root, "kubepods/burstable/cpu.shares")); got != "768" {
		t.Errorf("shares of the burstable class: %s", got)
	}
	for range 2 {
		if err := m.Remove(a); err != nil {
			t.Error(err)
		}
	}
	if !cgroups.IsCgroup2UnifiedMode() {
		if got := read(t, filepath.Join("/sys/fs/cgroup/cpu", root, "kubepods/burstable/cpu.shares")); got != "256" {
			t.Errorf("shares after a pod has gone: %s", got)
		}
	}
	for _, controller := range []string{"cpu", "memory", "pids", ""} {
		if _, err := os.Stat(filepath.Join("/sys/fs/cgroup", controller, root, "kubepods/burstable/pod"+string(a.UID))); err == nil {
			t.Errorf("the pod's group is left in %q", controller)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}
