package framework

// Tally is how many pods of a class are in each domain of a topology key. It
// is counted once and then follows every pod that a node takes in or lets go,
// so that an attempt does not count all nodes again.
type Tally struct {
	// Pods and Ending are by domain; Ending are those of Pods that are being
	// deleted. Only the framework writes them.
	Pods, Ending []int32
	// Domains are those of the key.
	Domains *Domains

	key string
}

// mostTallies bounds what is counted ahead: users choose labels and keys.
const mostTallies = 512

// tallies are those of a class, good for one view at one age.
type tallies struct {
	view *View
	age  int
	list []*Tally
}

// Tally is the count of a class by the domains of a key. It changes with the
// nodes' pods.
func (v *View) Tally(c *Class, key string) *Tally {
	if c.tallies.view != v || c.tallies.age != v.age {
		c.tallies = tallies{view: v, age: v.age}
	}
	for _, t := range c.tallies.list {
		if t.key == key {
			return t
		}
	}
	if v.tallied++; v.tallied > mostTallies {
		v.tallied = 1
		v.age++
		c.tallies = tallies{view: v, age: v.age}
	}
	t := newTally(v, c, key)
	c.tallies.list = append(c.tallies.list, t)
	return t
}

func newTally(v *View, c *Class, key string) *Tally {
	d := v.Domains(key)
	t := &Tally{key: key, Domains: d, Pods: make([]int32, d.Count), Ending: make([]int32, d.Count)}
	for i, n := range v.Nodes {
		at := d.Of[i]
		if at < 0 {
			continue
		}
		for j := range n.Groups {
			if g := &n.Groups[j]; g.Class == c {
				t.Pods[at] += int32(g.Count)
				t.Ending[at] += int32(g.Ending)
			}
		}
	}
	return t
}

// tally takes a pod of the node into the counts of its class, or out of them.
func (n *Node) tally(p *Placed, by int32) {
	have := &p.Class.tallies
	if n.view == nil || have.view != n.view || have.age != n.view.age {
		return
	}
	for _, t := range have.list {
		at := t.Domains.Of[n.Index]
		if at < 0 {
			continue
		}
		t.Pods[at] += by
		if p.DeletionTimestamp != nil {
			t.Ending[at] += by
		}
	}
}
