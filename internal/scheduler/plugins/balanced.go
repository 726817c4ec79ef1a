package plugins

import (
	"math"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// NodeResourcesBalanced prefers nodes on which the pod brings the used parts
// of their resources nearer to each other.
type NodeResourcesBalanced struct {
	// Resources are CPU and memory where there is no entry; weights do not count.
	Resources []WeightedResource
}

// Name implements framework.Plugin.
func (NodeResourcesBalanced) Name() string { return "NodeResourcesBalancedAllocation" }

func (p NodeResourcesBalanced) resources() []WeightedResource {
	if len(p.Resources) == 0 {
		return cpuAndMemory()
	}
	return p.Resources
}

// PreScore implements framework.PreScorer: a pod that requests none of the
// resources balances nothing.
func (p NodeResourcesBalanced) PreScore(_ *framework.Cycle, pod *framework.Pod, _ []*framework.Node) *framework.Status {
	for _, r := range p.resources() {
		if amountOf(&pod.Requests, r.Name) != 0 {
			return nil
		}
	}
	return framework.Skipped()
}

// Score implements framework.Scorer: 75 where the balance stays, up to 100
// where it gets better and down to 50 where it gets worse.
func (p NodeResourcesBalanced) Score(_ *framework.Cycle, pod *framework.Pod, node *framework.Node) int64 {
	const half = framework.MaxScore / 2
	var room [2][4]float64 // for the usual, few resources
	before, after := room[0][:0], room[1][:0]
	if len(p.Resources) == 0 {
		a, used, want := &node.Allocatable, &node.Requested, &pod.Requests
		before, after = parts(before, after, used.MilliCPU, want.MilliCPU, a.MilliCPU)
		before, after = parts(before, after, used.Memory, want.Memory, a.Memory)
	}
	for _, r := range p.Resources {
		used, all := with(pod, node, r.Name)
		want := amountOf(&pod.Requests, r.Name)
		before, after = parts(before, after, used-want, want, all)
	}
	return half + (half+balance(after)-balance(before))/2
}

// parts adds the used parts of a resource, without the pod and with it, where
// the node has it at all.
func parts(before, after []float64, used, want, all int64) (withoutPod, withPod []float64) {
	if all == 0 {
		return before, after
	}
	return append(before, part(used, all)), append(after, part(used+want, all))
}

// balance is 100 where like parts are used, and less the more they differ
// (their standard deviation).
func balance(parts []float64) int64 {
	off := 0.0
	switch n := float64(len(parts)); {
	case n == 2:
		off = math.Abs((parts[0] - parts[1]) / 2)
	case n > 2:
		mean, sum := 0.0, 0.0
		for _, p := range parts {
			mean += p
		}
		mean /= n
		for _, p := range parts {
			sum += (p - mean) * (p - mean)
		}
		off = math.Sqrt(sum / n)
	}
	return int64((1 - off) * float64(framework.MaxScore))
}

func part(used, all int64) float64 { return min(1, float64(used)/float64(all)) }
