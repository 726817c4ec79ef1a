package plugins

import (
	"math"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// StrategyType says which nodes NodeResourcesFit prefers; the values are those
// of KubeSchedulerConfiguration.
type StrategyType string

// The types.
const (
	LeastAllocated           StrategyType = "LeastAllocated"
	MostAllocated            StrategyType = "MostAllocated"
	RequestedToCapacityRatio StrategyType = "RequestedToCapacityRatio"
)

// WeightedResource is a resource that a score looks at.
type WeightedResource struct {
	Name   corev1.ResourceName
	Weight int64
}

// ShapePoint is a corner of the line that turns a utilization in percent into
// a score of 0 to MaxScore.
type ShapePoint struct{ Utilization, Score int64 }

// Strategy is how NodeResourcesFit scores. Resources without an entry are CPU
// and memory alike; Shape, sorted by utilization, is for
// RequestedToCapacityRatio.
type Strategy struct {
	Type      StrategyType
	Resources []WeightedResource
	Shape     []ShapePoint
}

// cpuAndMemory are what scores look at by default.
func cpuAndMemory() []WeightedResource {
	return []WeightedResource{{corev1.ResourceCPU, 1}, {corev1.ResourceMemory, 1}}
}

// score is the weighted mean over the resources that the node has.
func (s Strategy) score(pod *framework.Pod, node *framework.Node) int64 {
	var sum, weights int64
	for _, r := range s.Resources {
		used, all := scoredAmounts(pod, node, r.Name)
		if all == 0 {
			continue
		}
		one := s.one(used, all)
		if s.Type == RequestedToCapacityRatio && one <= 0 {
			continue
		}
		sum += one * r.Weight
		weights += r.Weight
	}
	switch {
	case weights == 0:
		return 0
	case s.Type == RequestedToCapacityRatio:
		return int64(math.Round(float64(sum) / float64(weights)))
	}
	return sum / weights
}

// one scores one resource.
func (s Strategy) one(used, all int64) int64 {
	switch s.Type {
	case MostAllocated:
		return min(used, all) * framework.MaxScore / all
	case RequestedToCapacityRatio:
		if used > all {
			return s.along(100)
		}
		return s.along(used * 100 / all)
	}
	if used > all {
		return 0
	}
	return (all - used) * framework.MaxScore / all
}

// along is the height of the line at a utilization.
func (s Strategy) along(utilization int64) int64 {
	for i, p := range s.Shape {
		if utilization > p.Utilization {
			continue
		}
		if i == 0 {
			return p.Score
		}
		from := s.Shape[i-1]
		return from.Score + (p.Score-from.Score)*(utilization-from.Utilization)/(p.Utilization-from.Utilization)
	}
	return s.Shape[len(s.Shape)-1].Score
}

// scoredAmounts are what of a resource would be taken with the pod, and what
// there is; nothing of an extended resource that the pod does not ask for.
// Containers without requests for CPU and memory count as if they had some.
func scoredAmounts(pod *framework.Pod, node *framework.Node, name corev1.ResourceName) (used, all int64) {
	switch name {
	case corev1.ResourceCPU:
		return node.ScoreCPU + pod.ScoreCPU, node.Allocatable.MilliCPU
	case corev1.ResourceMemory:
		return node.ScoreMemory + pod.ScoreMemory, node.Allocatable.Memory
	}
	return with(pod, node, name)
}

// with is what of a resource is requested with the pod, and what there is.
func with(pod *framework.Pod, node *framework.Node, name corev1.ResourceName) (used, all int64) {
	want := amountOf(&pod.Requests, name)
	if want == 0 && isScalar(name) {
		return 0, 0
	}
	return amountOf(&node.Requested, name) + want, amountOf(&node.Allocatable, name)
}

func amountOf(r *framework.Resource, name corev1.ResourceName) int64 {
	switch name {
	case corev1.ResourceCPU:
		return r.MilliCPU
	case corev1.ResourceMemory:
		return r.Memory
	case corev1.ResourceEphemeralStorage:
		return r.Ephemeral
	}
	return r.Scalars[name]
}

// isScalar tells resources that are counted one by one, by their names.
func isScalar(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return false
	}
	text := string(name)
	return strings.Contains(text, "/") || strings.HasPrefix(text, corev1.ResourceHugePagesPrefix) || strings.HasPrefix(text, corev1.ResourceAttachableVolumesPrefix)
}
