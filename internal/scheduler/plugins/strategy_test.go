package plugins

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

func TestStrategies(t *testing.T) {
	const gpu = "example.com/gpu"
	node := &framework.Node{Allocatable: framework.Resource{MilliCPU: 1000, Memory: 1000, Scalars: map[corev1.ResourceName]int64{gpu: 4}},
		Requested: framework.Resource{Scalars: map[corev1.ResourceName]int64{gpu: 1}}, ScoreCPU: 100, ScoreMemory: 500}
	pod := &framework.Pod{Usage: framework.Usage{ScoreCPU: 100, ScoreMemory: 100}}
	withGPU := &framework.Pod{Usage: framework.Usage{ScoreCPU: 100, ScoreMemory: 100, Requests: framework.Resource{Scalars: map[corev1.ResourceName]int64{gpu: 2}}}}
	huge := &framework.Pod{Usage: framework.Usage{ScoreCPU: 5000, ScoreMemory: 100}}
	ramp := []ShapePoint{{0, 0}, {40, 80}, {100, 20}}
	for _, c := range []struct {
		name string
		pod  *framework.Pod
		s    Strategy
		want int64
	}{
		{"least", pod, Strategy{Type: LeastAllocated, Resources: cpuAndMemory()}, (80 + 40) / 2},
		{"least, weighted", pod, Strategy{Type: LeastAllocated, Resources: []WeightedResource{{corev1.ResourceCPU, 3}, {corev1.ResourceMemory, 1}}}, (3*80 + 40) / 4},
		{"least, of more than there is", huge, Strategy{Type: LeastAllocated, Resources: cpuAndMemory()}, (0 + 40) / 2},
		{"most", pod, Strategy{Type: MostAllocated, Resources: cpuAndMemory()}, (20 + 60) / 2},
		{"most, of more than there is", huge, Strategy{Type: MostAllocated, Resources: cpuAndMemory()}, (100 + 60) / 2},
		{"an extended resource that is not asked for", pod, Strategy{Type: MostAllocated, Resources: []WeightedResource{{corev1.ResourceCPU, 1}, {gpu, 1}}}, 20},
		{"one that is", withGPU, Strategy{Type: MostAllocated, Resources: []WeightedResource{{corev1.ResourceCPU, 1}, {gpu, 1}}}, (20 + 75) / 2},
		{"one that the node lacks", pod, Strategy{Type: MostAllocated, Resources: []WeightedResource{{corev1.ResourceEphemeralStorage, 1}}}, 0},
		{"along a line", pod, Strategy{Type: RequestedToCapacityRatio, Resources: cpuAndMemory(), Shape: ramp}, (40 + 60) / 2},
		{"past its end", huge, Strategy{Type: RequestedToCapacityRatio, Resources: cpuAndMemory(), Shape: ramp}, (20 + 60) / 2},
		{"zeros do not count", pod, Strategy{Type: RequestedToCapacityRatio, Resources: cpuAndMemory(), Shape: []ShapePoint{{20, 0}, {60, 100}}}, 100},
	} {
		if got := c.s.score(c.pod, node); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestIgnoredResources(t *testing.T) {
	node := framework.NewNode(&corev1.Node{})
	node.MaxPods = 10
	pod := &framework.Pod{Usage: framework.Usage{Requests: framework.Resource{Scalars: map[corev1.ResourceName]int64{"example.com/a": 1, "other.org/b": 1}}}}
	if st := (NodeResourcesFit{}).Filter(nil, pod, node); st == nil || len(st.Reasons) != 2 {
		t.Errorf("both are lacking: %v", st)
	}
	p := NodeResourcesFit{Ignored: map[string]bool{"example.com/a": true}, IgnoredGroups: map[string]bool{"other.org": true}}
	if st := p.Filter(nil, pod, node); st != nil {
		t.Errorf("neither counts: %v", st.Reasons)
	}
}
