package framework

// View is all candidate nodes in order; a node's Index is its place there.
type View struct {
	Nodes []*Node
	// Classes are those of the nodes' pods.
	Classes *Classes
	// Changes counts what happened to each node, by Index: as long as a number
	// stays, so does every Local filter's answer. Only the framework writes it.
	Changes []uint64

	domains map[string]*Domains
	choices map[string][]bool // by choiceKey
	holders map[string]int    // nodes by image
	// age tells tallies that are still good from those that were given up;
	// tallied counts the former.
	age, tallied int
}

// Domains are the values that a label has on the nodes of a View.
type Domains struct {
	// Of is the domain of each node by its Index; -1 where the node lacks the
	// label.
	Of    []int32
	Count int
	// Partial: some node lacks the label.
	Partial bool
}

// NewView numbers the nodes. A node belongs to the newest view that it is in.
func NewView(nodes []*Node, classes *Classes) *View {
	v := &View{Nodes: nodes, Classes: classes, Changes: make([]uint64, len(nodes))}
	for i, n := range nodes {
		n.Index, n.view = i, v
	}
	return v
}

// Domains numbers the values of a label. The answer is kept until Relabelled.
func (v *View) Domains(key string) *Domains {
	if d := v.domains[key]; d != nil {
		return d
	}
	d := &Domains{Of: make([]int32, len(v.Nodes))}
	numbers := make(map[string]int32)
	for i, n := range v.Nodes {
		value, ok := n.Labels[key]
		if !ok {
			d.Of[i], d.Partial = -1, true
			continue
		}
		number, ok := numbers[value]
		if !ok {
			number = int32(len(numbers))
			numbers[value] = number
		}
		d.Of[i] = number
	}
	d.Count = len(numbers)
	if v.domains == nil || len(v.domains) >= mostDomains {
		v.domains = make(map[string]*Domains)
	}
	v.domains[key] = d
	return d
}

// mostDomains bounds the labels that are kept: users choose topology keys.
const mostDomains = 64

// Relabelled forgets what was worked out of labels.
func (v *View) Relabelled() {
	v.domains, v.choices, v.tallied = nil, nil, 0
	v.age++
}

// Holders is how many nodes have an image. The answer is kept until a node
// gets or loses one.
func (v *View) Holders(image string) int {
	count, known := v.holders[image]
	if known {
		return count
	}
	for _, n := range v.Nodes {
		if _, ok := n.Images[image]; ok {
			count++
		}
	}
	if v.holders == nil || len(v.holders) >= mostHolders {
		v.holders = make(map[string]int)
	}
	v.holders[image] = count
	return count
}

// mostHolders bounds the images that are kept: users name them.
const mostHolders = 1024
