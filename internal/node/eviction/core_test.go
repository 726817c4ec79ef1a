package eviction

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

var epoch = time.Unix(1_700_000_000, 0)

func TestParse(t *testing.T) {
	hard := func(s Signal, v Value) Threshold { return Threshold{Signal: s, Value: v} }
	cases := []struct {
		name string
		in   Texts
		want []Threshold
		err  string
	}{
		{"nothing", Texts{}, Default().Thresholds, ""},
		{"one hard", Texts{Hard: map[string]string{"memory.available": "1Gi"}}, []Threshold{hard(MemoryAvailable, Value{Quantity: 1 << 30})}, ""},
		{"share", Texts{Hard: map[string]string{"nodefs.available": "12.5%"}}, []Threshold{hard(NodeFsAvailable, Value{Share: 0.125})}, ""},
		{"off", Texts{Hard: map[string]string{"nodefs.available": "0%", "memory.available": "100%"}}, nil, ""},
		{"soft", Texts{Hard: map[string]string{"memory.available": "0"}, Soft: map[string]string{"memory.available": "1Gi"},
			SoftGrace: map[string]string{"memory.available": "90s"}, Reclaim: map[string]string{"memory.available": "500Mi"}},
			[]Threshold{{Signal: MemoryAvailable, Value: Value{Quantity: 1 << 30}, Grace: 90 * time.Second, Reclaim: Value{Quantity: 500 << 20}}}, ""},
		{"soft without grace", Texts{Soft: map[string]string{"memory.available": "1Gi"}}, nil, "evictionSoftGracePeriod[memory.available]"},
		{"no signal", Texts{Hard: map[string]string{"memory": "1Gi"}}, nil, "evictionHard[memory]: there is no such signal"},
		{"no value", Texts{Hard: map[string]string{"memory.available": "much"}}, nil, `evictionHard[memory.available]: "much"`},
		{"too much", Texts{Reclaim: map[string]string{"memory.available": "101%"}}, nil, "evictionMinimumReclaim[memory.available]"},
		{"no duration", Texts{SoftGrace: map[string]string{"memory.available": "1"}}, nil, "evictionSoftGracePeriod[memory.available]"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Parse(tc.in)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want %q", err, tc.err)
				}
				return
			}
			if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
	merged, err := Parse(Texts{Hard: map[string]string{"memory.available": "1Gi"}, Merge: true})
	if err != nil || len(merged) != len(Default().Thresholds) || merged[0].Value.Quantity != 1<<30 {
		t.Errorf("merged with the defaults: %+v, %v", merged, err)
	}
}

func TestDefaultsOfDisks(t *testing.T) {
	c := Default()
	for _, tc := range []struct{ capacity, keeps int64 }{{5 << 30, 512 << 20}, {1 << 40, 1 << 30}} {
		if got := c.Hard(NodeFsAvailable, tc.capacity); got != tc.keeps {
			t.Errorf("of %d are kept %d, want %d", tc.capacity, got, tc.keeps)
		}
	}
}

// memory is a reading of that many MiB free.
func memory(mib int64) map[Signal]Reading {
	return map[Signal]Reading{MemoryAvailable: {Available: mib << 20, Capacity: 1 << 30}}
}

func TestStep(t *testing.T) {
	c := Config{Transition: time.Minute, Thresholds: []Threshold{
		{Signal: MemoryAvailable, Value: Value{Quantity: 100 << 20}, Reclaim: Value{Quantity: 50 << 20}},
		{Signal: MemoryAvailable, Value: Value{Quantity: 300 << 20}, Grace: 30 * time.Second},
	}}
	steps := []struct {
		after    time.Duration
		readings map[Signal]Reading
		act      string
		pressure bool
		wake     time.Duration
	}{
		{0, memory(500), "", false, 0},
		{time.Second, memory(200), "", true, 31 * time.Second},
		{30 * time.Second, memory(200), "", true, 31 * time.Second},
		{31 * time.Second, memory(200), "soft", true, 0},
		{32 * time.Second, memory(80), "hard soft", true, 0},
		{33 * time.Second, memory(120), "hard soft", true, 0}, // not yet as much as has to be free again
		{34 * time.Second, memory(160), "soft", true, 0},
		{35 * time.Second, nil, "soft", true, 0}, // not read: as it was
		{40 * time.Second, memory(400), "", true, 0},
		{94 * time.Second, memory(400), "", true, 0},
		{95 * time.Second, memory(400), "", false, 0},
		{96 * time.Second, memory(200), "", true, 126 * time.Second}, // the grace begins anew
	}
	var s State
	for _, step := range steps {
		got := s.Step(c, step.readings, epoch.Add(step.after))
		var act []string
		for _, threshold := range got.Act {
			act = append(act, map[bool]string{true: "soft", false: "hard"}[threshold.Soft()])
		}
		if words := strings.Join(act, " "); words != step.act {
			t.Errorf("at %s acts on %q, want %q", step.after, words, step.act)
		}
		if pressure := slices.Contains(got.Conditions, corev1.NodeMemoryPressure); pressure != step.pressure {
			t.Errorf("at %s the conditions are %v", step.after, got.Conditions)
		}
		if wake := got.Wake.Sub(epoch); !got.Wake.IsZero() && wake != step.wake || got.Wake.IsZero() && step.wake != 0 {
			t.Errorf("at %s wakes at %s, want %s", step.after, wake, step.wake)
		}
	}
}

func TestMostUrgentFirst(t *testing.T) {
	var s State
	out := s.Step(Default(), map[Signal]Reading{
		PIDAvailable: {Available: 1, Capacity: 1000}, NodeFsInodesFree: {Available: 1, Capacity: 1000},
		MemoryAvailable: {Available: 1, Capacity: 1 << 30}, NodeFsAvailable: {Available: 1, Capacity: 1 << 40},
	}, epoch)
	var got []Signal
	for _, threshold := range out.Act {
		got = append(got, threshold.Signal)
	}
	if diff := cmp.Diff([]Signal{MemoryAvailable, NodeFsAvailable, NodeFsInodesFree, PIDAvailable}, got); diff != "" {
		t.Error(diff)
	}
	want := []corev1.NodeConditionType{corev1.NodeDiskPressure, corev1.NodeMemoryPressure, corev1.NodePIDPressure}
	if diff := cmp.Diff(want, out.Conditions); diff != "" {
		t.Error(diff)
	}
}

// ranked is a pod that asked for some memory (MiB) and takes some.
func ranked(name string, prio int32, asked, takes int64) (*corev1.Pod, Usage) {
	pod := &corev1.Pod{}
	pod.Name, pod.Spec.Priority = name, &prio
	pod.Spec.Containers = []corev1.Container{{Name: "app", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceMemory: resource.MustParse(fmt.Sprintf("%dMi", asked)), corev1.ResourceEphemeralStorage: resource.MustParse(fmt.Sprintf("%dMi", asked)),
	}}}}
	return pod, Usage{Known: takes >= 0, Memory: takes << 20, Disk: takes << 20, Inodes: takes, Processes: takes}
}

func TestRank(t *testing.T) {
	cases := []struct {
		resource corev1.ResourceName
		want     string
	}{
		// Beyond their requests: by priority, then by how far; then those within.
		{corev1.ResourceMemory, "unknown low much little within vip"},
		{corev1.ResourceEphemeralStorage, "unknown low much little within vip"},
		{"inodes", "unknown low much within little vip"},
		{"pids", "low unknown much within little vip"},
	}
	var pods []*corev1.Pod
	usage := map[string]Usage{}
	add := func(pod *corev1.Pod, u Usage) { pods, usage[pod.Name] = append(pods, pod), u }
	add(ranked("vip", 9, 900, 100))
	add(ranked("within", 1, 500, 400))
	add(ranked("little", 1, 10, 20))
	add(ranked("much", 1, 10, 500))
	add(ranked("low", 0, 10, 11))
	add(ranked("unknown", 0, 10, -1))
	for _, tc := range cases {
		t.Run(string(tc.resource), func(t *testing.T) {
			var got []string
			for _, pod := range Rank(tc.resource, pods, func(p *corev1.Pod) Usage { return usage[p.Name] }) {
				got = append(got, pod.Name)
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCritical(t *testing.T) {
	high, low := int32(2_000_000_000), int32(1_999_999_999)
	cases := []struct {
		name string
		pod  corev1.Pod
		want bool
	}{
		{"plain", corev1.Pod{}, false},
		{"high", corev1.Pod{Spec: corev1.PodSpec{Priority: &high}}, true},
		{"nearly", corev1.Pod{Spec: corev1.PodSpec{Priority: &low}}, false},
	}
	for _, tc := range cases {
		if got := Critical(&tc.pod); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestExceeds(t *testing.T) {
	limit, size := resource.MustParse("10Mi"), resource.MustParse("5Mi")
	pod := &corev1.Pod{}
	pod.Spec.Containers = []corev1.Container{{Name: "a"}, {Name: "b"}}
	pod.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceEphemeralStorage: limit}
	pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size}}}}
	all := pod.DeepCopy()
	all.Spec.Containers = all.Spec.Containers[:1]
	cases := []struct {
		name   string
		pod    *corev1.Pod
		u      Usage
		want   string
		signal string
	}{
		{"within", pod, Usage{Disk: 100 << 20, Volumes: map[string]int64{"v": 5 << 20}, Containers: map[string]ContainerUsage{"a": {Disk: 10 << 20}}}, "", ""},
		{"volume", pod, Usage{Volumes: map[string]int64{"v": 6 << 20}}, `Usage of EmptyDir volume "v" exceeds the limit "5Mi". `, "emptydirfs.limit"},
		{"container", pod, Usage{Containers: map[string]ContainerUsage{"a": {Disk: 11 << 20}}}, `Container a exceeded its local ephemeral storage limit "10Mi". `, "ephemeralcontainerfs.limit"},
		{"pod", all, Usage{Disk: 11 << 20}, `Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. `, "ephemeralpodfs.limit"},
	}
	for _, tc := range cases {
		if signal, got := Exceeds(tc.pod, tc.u); got != tc.want || signal != tc.signal {
			t.Errorf("%s: %s %q, want %s %q", tc.name, signal, got, tc.signal, tc.want)
		}
	}
	if !Limited(pod) || Limited(&corev1.Pod{}) {
		t.Error("Limited")
	}
}

func TestShortage(t *testing.T) {
	pod, _ := ranked("a", 0, 10, 0)
	got := shortage(Threshold{Signal: MemoryAvailable, Value: Value{Quantity: 100 << 20}}, Reading{Available: 50 << 20, Capacity: 1 << 30},
		pod, Usage{Containers: map[string]ContainerUsage{"app": {Memory: 20 << 20}}})
	want := "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. " +
		"Container app was using 20Mi, request is 10Mi, has larger consumption of memory. "
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = shortage(Threshold{Signal: PIDAvailable, Value: Value{Share: 0.05}}, Reading{Available: 1, Capacity: 1000}, pod, Usage{})
	if want := "The node was low on resource: pids. Threshold quantity: 50, available: 1. "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
