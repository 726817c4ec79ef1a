package framework

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Node is a node and what its pods take of it. The scheduler's goroutine owns
// it.
type Node struct {
	*corev1.Node
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

	pods map[types.UID]Usage
}

// NewNode makes an entry for a node that is known, or (nil) for one that only
// its pods name so far.
func NewNode(node *corev1.Node) *Node {
	n := &Node{pods: make(map[types.UID]Usage)}
	if node != nil {
		n.SetNode(node)
	}
	return n
}

// SetNode takes a newer version of the node.
func (n *Node) SetNode(node *corev1.Node) {
	n.Node = node
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
	n.Images = nil
	for _, image := range node.Status.Images {
		for _, name := range image.Names {
			if n.Images == nil {
				n.Images = make(map[string]int64)
			}
			n.Images[name] = image.SizeBytes
		}
	}
}

// Add counts a pod in; one that is counted already is counted anew.
func (n *Node) Add(uid types.UID, u Usage) {
	n.Remove(uid)
	n.pods[uid] = u
	n.count(&u, 1)
	n.Ports = append(n.Ports, u.Ports...)
}

// Remove takes a pod out; one that is not counted is nothing.
func (n *Node) Remove(uid types.UID) {
	u, ok := n.pods[uid]
	if !ok {
		return
	}
	delete(n.pods, uid)
	n.count(&u, -1)
	for _, p := range u.Ports {
		if i := slices.Index(n.Ports, p); i >= 0 {
			n.Ports = slices.Delete(n.Ports, i, i+1)
		}
	}
}

// Pods is how many pods are counted.
func (n *Node) Pods() int { return len(n.pods) }

func (n *Node) count(u *Usage, sign int64) {
	n.Requested.Add(&u.Requests, sign)
	n.ScoreCPU += sign * u.ScoreCPU
	n.ScoreMemory += sign * u.ScoreMemory
}
