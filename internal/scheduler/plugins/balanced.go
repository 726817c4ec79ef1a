package plugins

import (
	"math"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// NodeResourcesBalanced prefers nodes on which the pod brings the used parts
// of CPU and memory nearer to each other.
type NodeResourcesBalanced struct{}

// Name implements framework.Plugin.
func (NodeResourcesBalanced) Name() string { return "NodeResourcesBalancedAllocation" }

// PreScore implements framework.PreScorer: a pod that requests neither
// balances nothing.
func (NodeResourcesBalanced) PreScore(_ *framework.Cycle, pod *framework.Pod, _ []*framework.Node) *framework.Status {
	if pod.Requests.MilliCPU == 0 && pod.Requests.Memory == 0 {
		return framework.Skipped()
	}
	return nil
}

// Score implements framework.Scorer: 75 where the balance stays, up to 100
// where it gets better and down to 50 where it gets worse.
func (NodeResourcesBalanced) Score(_ *framework.Cycle, pod *framework.Pod, node *framework.Node) int64 {
	const half = framework.MaxScore / 2
	with := balance(node, pod.Requests.MilliCPU, pod.Requests.Memory)
	return half + (half+with-balance(node, 0, 0))/2
}

// balance is 100 where like parts of CPU and memory are used, and 50 where
// all of one and nothing of the other is.
func balance(node *framework.Node, cpu, memory int64) int64 {
	off := 0.0
	if a := &node.Allocatable; a.MilliCPU > 0 && a.Memory > 0 {
		off = math.Abs(part(node.Requested.MilliCPU+cpu, a.MilliCPU)-part(node.Requested.Memory+memory, a.Memory)) / 2
	}
	return int64((1 - off) * float64(framework.MaxScore))
}

func part(used, all int64) float64 { return min(1, float64(used)/float64(all)) }
