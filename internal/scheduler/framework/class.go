package framework

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Class is what pods of one template look like from outside: namespace,
// labels and affinity to other pods. Nodes count their pods by class, so that
// a plugin that counts matching pods asks once per class, not once per pod.
type Class struct {
	Namespace string
	Labels    labels.Set
	Terms     *Terms // nil: the pods want nothing of other pods
	ID        int    // small, and used again after the class is gone

	key     string
	refs    int
	tallies tallies
}

// Classes are the classes in use. One goroutine owns them.
type Classes struct {
	byKey map[string]*Class
	wary  map[*Class]struct{} // those whose pods have terms
	free  []int
	most  int
}

// NewClasses makes an empty set.
func NewClasses() *Classes {
	return &Classes{byKey: make(map[string]*Class), wary: make(map[*Class]struct{})}
}

// Take gives the pod's class; every Take needs a Drop.
func (c *Classes) Take(pod *corev1.Pod) *Class {
	key := classKey(pod)
	have := c.byKey[key]
	if have == nil {
		have = &Class{Namespace: pod.Namespace, Labels: pod.Labels, Terms: TermsOf(pod), ID: c.most, key: key}
		if last := len(c.free) - 1; last >= 0 {
			have.ID, c.free = c.free[last], c.free[:last]
		} else {
			c.most++
		}
		c.byKey[key] = have
		if have.Terms != nil {
			c.wary[have] = struct{}{}
		}
	}
	have.refs++
	return have
}

// Drop gives a class back.
func (c *Classes) Drop(class *Class) {
	class.refs--
	if class.refs == 0 {
		delete(c.byKey, class.key)
		delete(c.wary, class)
		c.free = append(c.free, class.ID)
	}
}

// Each goes through the classes, in no order; only through those whose pods
// have terms about other pods, if waryOnly is set.
func (c *Classes) Each(waryOnly bool, fn func(*Class)) {
	if waryOnly {
		for class := range c.wary {
			fn(class)
		}
		return
	}
	for _, class := range c.byKey {
		fn(class)
	}
}

// Most is one more than the highest ID ever given.
func (c *Classes) Most() int { return c.most }

// classKey is the same for pods of the same class. The parts are told apart
// by a byte that no name, label or JSON document contains.
func classKey(pod *corev1.Pod) string {
	var b strings.Builder
	b.WriteString(pod.Namespace)
	for _, name := range slices.Sorted(maps.Keys(pod.Labels)) {
		b.WriteByte(0)
		b.WriteString(name)
		b.WriteByte(0)
		b.WriteString(pod.Labels[name])
	}
	if a := pod.Spec.Affinity; a != nil && (a.PodAffinity != nil || a.PodAntiAffinity != nil) {
		doc, err := json.Marshal([]any{a.PodAffinity, a.PodAntiAffinity})
		if err == nil {
			b.WriteByte(0)
			b.Write(doc)
		}
	}
	return b.String()
}

// Group is the pods of one class on a node.
type Group struct {
	Class *Class
	Count int
	// Ending are those of them that are being deleted.
	Ending int
}

// Memo remembers a yes or no per class during one attempt.
type Memo struct {
	ask   func(*Class) bool
	known []int8
}

// NewMemo makes a memo of a question.
func NewMemo(ask func(*Class) bool) *Memo { return &Memo{ask: ask} }

// Of answers for a class.
func (m *Memo) Of(c *Class) bool {
	if c.ID >= len(m.known) {
		m.known = append(m.known, make([]int8, c.ID+8-len(m.known))...)
	}
	switch m.known[c.ID] {
	case 1:
		return true
	case -1:
		return false
	}
	yes := m.ask(c)
	m.known[c.ID] = -1
	if yes {
		m.known[c.ID] = 1
	}
	return yes
}
