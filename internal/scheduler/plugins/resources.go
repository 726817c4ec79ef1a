package plugins

import (
	"slices"
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

// Local implements framework.Local.
func (NodeResourcesFit) Local() {}

// Filter implements framework.Filterer.
func (p NodeResourcesFit) Filter(_ *framework.Cycle, pod *framework.Pod, node *framework.Node) *framework.Status {
	short, beyond := 0, false
	lacks := func(what int, want, have int64) {
		short |= what
		beyond = beyond || want > have // not even on an empty node
	}
	if int64(node.Pods())+1 > node.MaxPods {
		lacks(shortOfPods, 1, node.MaxPods)
	}
	r, a, used := &pod.Requests, &node.Allocatable, &node.Requested
	if r.MilliCPU > 0 && r.MilliCPU > a.MilliCPU-used.MilliCPU {
		lacks(shortOfCPU, r.MilliCPU, a.MilliCPU)
	}
	if r.Memory > 0 && r.Memory > a.Memory-used.Memory {
		lacks(shortOfMemory, r.Memory, a.Memory)
	}
	if r.Ephemeral > 0 && r.Ephemeral > a.Ephemeral-used.Ephemeral {
		lacks(shortOfEphemeral, r.Ephemeral, a.Ephemeral)
	}
	var scalars []string
	for name, n := range r.Scalars {
		if n > 0 && n > a.Scalars[name]-used.Scalars[name] && !p.ignores(name) {
			scalars = append(scalars, "Insufficient "+string(name))
			beyond = beyond || n > a.Scalars[name]
		}
	}
	if short == 0 && scalars == nil {
		return nil
	}
	st := shortages[short]
	if beyond {
		st = shortages[short|shortBeyond]
	}
	if scalars == nil {
		return st
	}
	return framework.Fail(p.Name(), st.Code, slices.Concat(st.Reasons, scalars)...)
}

// What a node may be short of; with shortBeyond it would be if it were empty.
const (
	shortOfPods = 1 << iota
	shortOfCPU
	shortOfMemory
	shortOfEphemeral
	shortBeyond
)

// shortages are the answers for every set of what is short: a full cluster
// refuses each pod once per node.
var shortages = func() (all [2 * shortBeyond]*framework.Status) {
	for short := range all {
		var reasons []string
		for i, reason := range [...]string{"Too many pods", "Insufficient cpu", "Insufficient memory", "Insufficient ephemeral-storage"} {
			if short&(1<<i) != 0 {
				reasons = append(reasons, reason)
			}
		}
		code := framework.Unschedulable
		if short&shortBeyond != 0 {
			code = framework.Unresolvable
		}
		all[short] = framework.Fail(NodeResourcesFit{}.Name(), code, reasons...)
	}
	return all
}()

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
