package scheduler

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// cluster is all nodes with what their pods take.
type cluster struct {
	byName map[string]*framework.Node
	// order is how nodes are looked through: zone by zone in turn, so that a
	// search that ends early has seen all zones. nil: to be made anew.
	order []*framework.Node
	// view is over order.
	view    *framework.View
	classes *framework.Classes
}

func newCluster() *cluster {
	return &cluster{byName: make(map[string]*framework.Node), classes: framework.NewClasses()}
}

func (c *cluster) set(node *corev1.Node) {
	have := c.byName[node.Name]
	if have == nil {
		c.byName[node.Name] = framework.NewNode(node)
		c.order, c.view = nil, nil
		return
	}
	if have.Node == nil || zone(have.Node) != zone(node) {
		c.order, c.view = nil, nil
	} else if c.view != nil && !maps.Equal(have.Node.Labels, node.Labels) {
		c.view.Relabelled()
	}
	have.SetNode(node)
}

// remove forgets a node; one that still has pods stays, without being a
// candidate, until they are gone.
func (c *cluster) remove(name string) {
	have := c.byName[name]
	if have == nil {
		return
	}
	c.order, c.view = nil, nil
	have.Node = nil
	c.dropEmpty(name)
}

func (c *cluster) dropEmpty(name string) {
	if have := c.byName[name]; have != nil && have.Node == nil && have.Pods() == 0 {
		delete(c.byName, name)
	}
}

// addPod counts a pod on a node.
func (c *cluster) addPod(node string, pod *corev1.Pod, u framework.Usage) {
	have := c.byName[node]
	if have == nil {
		have = framework.NewNode(nil)
		c.byName[node] = have
	}
	p := &framework.Placed{Pod: pod, Usage: u, Class: c.classes.Take(pod)}
	c.forget(have.Remove(pod.UID))
	have.Add(p)
}

// renewPod keeps the newest version of a pod that counts as before: preemption
// looks at when it started, and what was before is not held.
func (c *cluster) renewPod(node string, pod *corev1.Pod) {
	if have := c.byName[node]; have != nil {
		have.Renew(pod)
	}
}

func (c *cluster) removePod(node string, uid types.UID) {
	if have := c.byName[node]; have != nil {
		c.forget(have.Remove(uid))
		c.dropEmpty(node)
	}
}

func (c *cluster) forget(p *framework.Placed) {
	if p != nil {
		c.classes.Drop(p.Class)
	}
}

// look is the view of all candidates.
func (c *cluster) look() *framework.View {
	order := c.nodes()
	if c.view == nil {
		c.view = framework.NewView(order, c.classes)
	}
	return c.view
}

// nodes are the candidates in order.
func (c *cluster) nodes() []*framework.Node {
	if c.order != nil || len(c.byName) == 0 {
		return c.order
	}
	zones := map[string][]*framework.Node{}
	var names []string
	for _, n := range c.byName {
		if n.Node == nil {
			continue
		}
		z := zone(n.Node)
		if zones[z] == nil {
			names = append(names, z)
		}
		zones[z] = append(zones[z], n)
	}
	for taken := true; taken; {
		taken = false
		for _, z := range names {
			if list := zones[z]; len(list) > 0 {
				c.order = append(c.order, list[0])
				zones[z], taken = list[1:], true
			}
		}
	}
	return c.order
}

func zone(node *corev1.Node) string {
	return node.Labels[corev1.LabelTopologyRegion] + "/" + node.Labels[corev1.LabelTopologyZone]
}
