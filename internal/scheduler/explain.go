package scheduler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
)

// Block is a plugin's no.
type Block struct {
	Plugin  string
	Reasons []string
	Help    string // the smallest change that would take the block away
}

// Verdict is all that keeps a pod from a node; a node without Blocks would
// take it.
type Verdict struct {
	Node   string
	Blocks []Block
}

// Explain asks every filter of the default profile about every node, as the
// objects stand. The nodes that lack the least come first. A pod that is on a
// node does not count against itself.
func Explain(pod *corev1.Pod, nodes []*corev1.Node, pods []*corev1.Pod, from plugins.Sources) []Verdict {
	s := &Scheduler{cluster: newCluster(), placed: map[types.UID]placement{}, nominated: newNominations()}
	for _, n := range nodes {
		s.cluster.set(n)
	}
	for _, other := range pods {
		over := other.Status.Phase == corev1.PodSucceeded || other.Status.Phase == corev1.PodFailed
		if other.Spec.NodeName != "" && other.UID != pod.UID && !over {
			s.cluster.addPod(other.Spec.NodeName, other, framework.UsageOf(other))
		}
	}
	p := newProfile(Profile{Plugins: plugins.Default(from)}, nil)
	free := pod.DeepCopy()
	free.Spec.NodeName = ""
	t := &trial{cycle: framework.NewCycle(s.cluster.look()), pod: framework.NewPod(free)}
	everywhere := gated(p, t.pod)
	for _, f := range p.filters {
		var st *framework.Status
		if f.pre != nil {
			st = f.pre.PreFilter(t.cycle, t.pod)
		}
		switch {
		case st.Is(framework.Skip):
		case st != nil:
			everywhere = append(everywhere, Block{Plugin: f.plugin.Name(), Reasons: st.Reasons, Help: before})
		case f.filter != nil:
			t.filters = append(t.filters, f)
		}
	}
	var out []Verdict
	for _, n := range t.cycle.View.Nodes {
		out = append(out, Verdict{Node: n.Name, Blocks: append(slices.Clone(everywhere), t.blocks(n)...)})
	}
	slices.SortFunc(out, func(a, b Verdict) int {
		return cmp.Or(cmp.Compare(len(a.Blocks), len(b.Blocks)), cmp.Compare(a.Node, b.Node))
	})
	return out
}

// before is the help where a plugin lets no node be asked.
const before = "see to what the reason names; no node is asked before"

// gated are the blocks of those who keep the pod from being tried at all. A
// plugin that says so of its claims says it again when it is asked to filter.
func gated(p *profile, pod *framework.Pod) []Block {
	var out []Block
	for _, g := range p.gates {
		_, filters := g.(framework.PreFilterer)
		if st := g.PreEnqueue(pod.Pod); st != nil && !filters {
			out = append(out, Block{Plugin: st.Plugin, Reasons: st.Reasons, Help: "whoever set the gates takes them off spec.schedulingGates"})
		}
	}
	return out
}

// blocks asks all filters, also after the first no.
func (t *trial) blocks(n *framework.Node) []Block {
	var out []Block
	for _, f := range t.filters {
		if st := f.filter.Filter(t.cycle, t.pod, n); st != nil {
			out = append(out, Block{Plugin: f.plugin.Name(), Reasons: st.Reasons, Help: help(f.plugin.Name(), t.pod, n)})
		}
	}
	return out
}

// help is the change that a person could make.
func help(plugin string, pod *framework.Pod, n *framework.Node) string {
	switch plugin {
	case "NodeName":
		return "name this node in the pod, or none"
	case "NodeUnschedulable":
		return "kubectl uncordon " + n.Name
	case "TaintToleration":
		if short := pressures(n); short != "" {
			return "the node runs short, until there is room: " + short
		}
		return "tolerate or take off its taints: " + taints(n)
	case "NodeAffinity":
		return "give the node the labels that the pod's nodeSelector or node affinity asks for, or ask for less"
	case "NodeResourcesFit":
		return shortage(pod, n)
	case "NodePorts":
		return "free the host port, or ask for another"
	case "PodTopologySpread":
		return "raise maxSkew, or make room in the domains with fewer pods"
	case "InterPodAffinity":
		return "move the other pods, or make the rule a preferred one"
	case "VolumeBinding", "VolumeZone":
		return "the volume and the pod must be able to be on one node: compare their node affinities"
	case "DynamicResources":
		return "free a device that the pod's claims select, offer one on this node, or ask for less"
	case "VolumeRestrictions", "NodeVolumeLimits":
		return "wait for, or end, a pod that uses the volumes"
	}
	return ""
}

// pressures are the taints of a node that has too little of something left.
func pressures(n *framework.Node) string {
	var out []string
	for _, t := range n.Hard {
		switch t.Key {
		case corev1.TaintNodeDiskPressure, corev1.TaintNodeMemoryPressure, corev1.TaintNodePIDPressure:
			out = append(out, t.Key)
		}
	}
	return strings.Join(out, ", ")
}

func taints(n *framework.Node) string {
	out := ""
	for i := range n.Hard {
		if i > 0 {
			out += ", "
		}
		out += n.Hard[i].ToString()
	}
	return out
}

// shortage tells by how much the node's free resources are too little.
func shortage(pod *framework.Pod, n *framework.Node) string {
	out := ""
	add := func(want, free int64, unit, what string) {
		if want > 0 && want > free {
			if out != "" {
				out += ", "
			}
			out += fmt.Sprintf("%d%s more %s", want-free, unit, what)
		}
	}
	r, a, used := &pod.Requests, &n.Allocatable, &n.Requested
	add(r.MilliCPU, a.MilliCPU-used.MilliCPU, "m", "cpu")
	add((r.Memory+1<<20-1)>>20, (a.Memory-used.Memory)>>20, "Mi", "memory")
	add((r.Ephemeral+1<<20-1)>>20, (a.Ephemeral-used.Ephemeral)>>20, "Mi", "ephemeral-storage")
	for name, want := range r.Scalars {
		add(want, a.Scalars[name]-used.Scalars[name], "", string(name))
	}
	add(1, n.MaxPods-int64(n.Pods()), "", "pods")
	return "it lacks " + out + ": free that, or request less"
}
