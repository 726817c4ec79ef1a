package framework

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Node is a node and what its pods take of it. The scheduler's goroutine owns
// it.
type Node struct {
	*corev1.Node
	// Index is the node's place in the View.
	Index int
	// Cordoned is spec.unschedulable.
	Cordoned    bool
	Allocatable Resource
	MaxPods     int64
	Requested   Resource
	// ScoreCPU and ScoreMemory are requested amounts as scores see them.
	ScoreCPU, ScoreMemory int64
	Ports                 []Port
	// Images are the bytes of each image on the node, by every name of it.
	Images map[string]int64
	// Soft are the taints that only scores mind.
	Soft []corev1.Taint
	// Hard are the taints that keep pods off.
	Hard []corev1.Taint
	// Groups are the pods by class. Wary is how many of the pods have terms
	// about other pods.
	Groups []Group
	Wary   int

	pods map[types.UID]*Placed
	view *View // the newest that the node is in
}

// Placed is a pod that counts on a node. It is not changed once it is there.
type Placed struct {
	*corev1.Pod
	Usage
	Class *Class
}

// NewNode makes an entry for a node that is known, or (nil) for one that only
// its pods name so far.
func NewNode(node *corev1.Node) *Node {
	n := &Node{pods: make(map[types.UID]*Placed)}
	if node != nil {
		n.SetNode(node)
	}
	return n
}

// Touch tells that filters may answer otherwise than before.
func (n *Node) Touch() {
	if n.view != nil {
		n.view.Changes[n.Index]++
	}
}

// Undone tells that the node is again as it was at a count of its changes.
func (n *Node) Undone(count uint64) {
	if n.view != nil {
		n.view.Changes[n.Index] = count
	}
}

// SetNode takes a newer version of the node.
func (n *Node) SetNode(node *corev1.Node) {
	n.Touch()
	n.Node, n.Cordoned = node, node.Spec.Unschedulable
	n.Allocatable = ResourceOf(node.Status.Allocatable)
	n.MaxPods = node.Status.Allocatable.Pods().Value()
	n.Soft, n.Hard = nil, nil
	for _, t := range node.Spec.Taints {
		if t.Effect == corev1.TaintEffectPreferNoSchedule {
			n.Soft = append(n.Soft, t)
		} else {
			n.Hard = append(n.Hard, t)
		}
	}
	before := n.Images
	n.Images = nil
	for _, image := range node.Status.Images {
		for _, name := range image.Names {
			if n.Images == nil {
				n.Images = make(map[string]int64)
			}
			n.Images[name] = image.SizeBytes
		}
	}
	if n.view != nil && !maps.Equal(before, n.Images) {
		n.view.holders = nil
	}
}

// Add counts a pod in; one that is counted already is counted anew.
func (n *Node) Add(p *Placed) {
	n.Remove(p.UID)
	n.Touch()
	n.pods[p.UID] = p
	n.count(&p.Usage, 1)
	n.Ports = append(n.Ports, p.Ports...)
	n.group(p, 1)
}

// Remove takes a pod out and gives what was counted; nil for one that is not
// there.
func (n *Node) Remove(uid types.UID) *Placed {
	p := n.pods[uid]
	if p == nil {
		return nil
	}
	n.Touch()
	delete(n.pods, uid)
	n.count(&p.Usage, -1)
	n.group(p, -1)
	for _, port := range p.Ports {
		if i := slices.Index(n.Ports, port); i >= 0 {
			n.Ports = slices.Delete(n.Ports, i, i+1)
		}
	}
	return p
}

// Renew puts a newer version of a pod, which counts as the one before, in its
// place.
func (n *Node) Renew(pod *corev1.Pod) {
	p := n.pods[pod.UID]
	if p == nil {
		return
	}
	if (p.Status.StartTime == nil) != (pod.Status.StartTime == nil) {
		n.Touch() // preemption goes by it
	}
	next := *p
	next.Pod = pod
	n.pods[pod.UID] = &next
}

// group counts a pod in its class.
func (n *Node) group(p *Placed, by int) {
	if p.Class.Terms != nil {
		n.Wary += by
	}
	n.tally(p, int32(by))
	i := slices.IndexFunc(n.Groups, func(g Group) bool { return g.Class == p.Class })
	if i < 0 {
		i = len(n.Groups)
		n.Groups = append(n.Groups, Group{Class: p.Class})
	}
	n.Groups[i].Count += by
	if p.DeletionTimestamp != nil {
		n.Groups[i].Ending += by
	}
	if n.Groups[i].Count == 0 {
		n.Groups = slices.Delete(n.Groups, i, i+1)
	}
}

// Pods is how many pods are counted.
func (n *Node) Pods() int { return len(n.pods) }

// EachPod goes through the pods, in no order, until fn says stop by false.
func (n *Node) EachPod(fn func(*Placed) bool) {
	for _, p := range n.pods {
		if !fn(p) {
			return
		}
	}
}

func (n *Node) count(u *Usage, sign int64) {
	n.Requested.Add(&u.Requests, sign)
	n.ScoreCPU += sign * u.ScoreCPU
	n.ScoreMemory += sign * u.ScoreMemory
}
