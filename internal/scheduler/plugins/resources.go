package plugins

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// NodeResourcesFit lets a pod onto a node only if what it requests is free,
// and prefers nodes with much left, unless its Strategy says otherwise. The
// zero value is upstream's default.
type NodeResourcesFit struct {
	// Ignored are extended resources, and IgnoredGroups the parts of their names
	// before the slash, that no node is refused for.
	Ignored, IgnoredGroups map[string]bool
	// Strategy is LeastAllocated of CPU and memory where it has no type.
	Strategy Strategy
}

// ignores tells whether nobody minds a lack of the resource.
func (p NodeResourcesFit) ignores(name corev1.ResourceName) bool {
	group, _, extended := strings.Cut(string(name), "/")
	return extended && (p.Ignored[string(name)] || p.IgnoredGroups[group])
}

// Name implements framework.Plugin.
func (NodeResourcesFit) Name() string { return "NodeResourcesFit" }

// Filter implements framework.Filterer.
func (p NodeResourcesFit) Filter(_ *framework.Cycle, pod *framework.Pod, node *framework.Node) *framework.Status {
	var short []string
	code := framework.Unschedulable
	lacks := func(reason string, want, have int64) {
		short = append(short, reason)
		if want > have {
			code = framework.Unresolvable // not even on an empty node
		}
	}
	if int64(node.Pods())+1 > node.MaxPods {
		lacks("Too many pods", 1, node.MaxPods)
	}
	r, a, used := &pod.Requests, &node.Allocatable, &node.Requested
	if r.MilliCPU > 0 && r.MilliCPU > a.MilliCPU-used.MilliCPU {
		lacks("Insufficient cpu", r.MilliCPU, a.MilliCPU)
	}
	if r.Memory > 0 && r.Memory > a.Memory-used.Memory {
		lacks("Insufficient memory", r.Memory, a.Memory)
	}
	if r.Ephemeral > 0 && r.Ephemeral > a.Ephemeral-used.Ephemeral {
		lacks("Insufficient ephemeral-storage", r.Ephemeral, a.Ephemeral)
	}
	for name, n := range r.Scalars {
		if n > 0 && n > a.Scalars[name]-used.Scalars[name] && !p.ignores(name) {
			lacks("Insufficient "+string(name), n, a.Scalars[name])
		}
	}
	if len(short) == 0 {
		return nil
	}
	return framework.Fail(p.Name(), code, short...)
}

// Score implements framework.Scorer.
func (p NodeResourcesFit) Score(_ *framework.Cycle, pod *framework.Pod, node *framework.Node) int64 {
	if p.Strategy.Type == "" {
		return leastOfBoth(pod, node)
	}
	return p.Strategy.score(pod, node)
}

// leastOfBoth is the mean of what would be left of CPU and memory, in
// hundredths: what nearly everybody uses, without a loop over names.
func leastOfBoth(pod *framework.Pod, node *framework.Node) int64 {
	var sum, weights int64
	for _, x := range [2][2]int64{
		{node.ScoreCPU + pod.ScoreCPU, node.Allocatable.MilliCPU},
		{node.ScoreMemory + pod.ScoreMemory, node.Allocatable.Memory},
	} {
		used, all := x[0], x[1]
		if all == 0 {
			continue
		}
		weights++
		if used <= all {
			sum += (all - used) * framework.MaxScore / all
		}
	}
	if weights == 0 {
		return 0
	}
	return sum / weights
}

// Hint implements framework.Hinter.
func (p NodeResourcesFit) Hint(pod *framework.Pod, ev framework.Event) bool {
	switch ev.Kind {
	case framework.NodeAdded:
		return p.couldHold(pod, ev.NewNode)
	case framework.NodeChanged:
		return grew(ev.OldNode, ev.NewNode) && p.couldHold(pod, ev.NewNode)
	case framework.PodFreed:
		return true
	}
	return ev.Kind == framework.PodChanged
}

func (p NodeResourcesFit) couldHold(pod *framework.Pod, node *corev1.Node) bool {
	a := framework.ResourceOf(node.Status.Allocatable)
	r := &pod.Requests
	if r.MilliCPU > a.MilliCPU || r.Memory > a.Memory || r.Ephemeral > a.Ephemeral {
		return false
	}
	for name, n := range r.Scalars {
		if n > a.Scalars[name] && !p.ignores(name) {
			return false
		}
	}
	return true
}

func grew(old, new *corev1.Node) bool {
	for name, q := range new.Status.Allocatable {
		if was, ok := old.Status.Allocatable[name]; !ok || q.Cmp(was) > 0 {
			return true
		}
	}
	return false
}
