package scheduler

import (
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
}

func newCluster() *cluster {
	return &cluster{byName: make(map[string]*framework.Node)}
}

func (c *cluster) set(node *corev1.Node) {
	have := c.byName[node.Name]
	if have == nil {
		c.byName[node.Name] = framework.NewNode(node)
		c.order = nil
		return
	}
	if have.Node == nil || zone(have.Node) != zone(node) {
		c.order = nil
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
	c.order = nil
	have.Node = nil
	c.dropEmpty(name)
}

func (c *cluster) dropEmpty(name string) {
	if have := c.byName[name]; have != nil && have.Node == nil && have.Pods() == 0 {
		delete(c.byName, name)
	}
}

func (c *cluster) addPod(node string, uid types.UID, u framework.Usage) {
	have := c.byName[node]
	if have == nil {
		have = framework.NewNode(nil)
		c.byName[node] = have
	}
	have.Add(uid, u)
}

func (c *cluster) removePod(node string, uid types.UID) {
	if have := c.byName[node]; have != nil {
		have.Remove(uid)
		c.dropEmpty(node)
	}
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
