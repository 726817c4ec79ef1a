// Package framework is what scheduling plugins are written against: the pod
// that looks for a node, the nodes as the scheduler counts them, and the
// points at which a plugin may speak.
//
// A plugin implements Plugin and any of the other interfaces. All calls for
// one pod come from one goroutine, and none may keep or change what it is
// given. Plugins hold no state of their own that changes: what they learn of
// a pod in PreFilter or PreScore goes into the Cycle.
package framework

import corev1 "k8s.io/api/core/v1"

// MaxScore is the highest score that a plugin may give after normalization.
const MaxScore int64 = 100

// Plugin has a name, by which profiles list it and failures name it.
type Plugin interface{ Name() string }

// PreEnqueuer decides whether a pod may be tried at all. A pod that it
// rejects waits, without an attempt, until an event that the plugin's Hints
// name.
type PreEnqueuer interface {
	PreEnqueue(pod *corev1.Pod) *Status
}

// PreFilterer looks at a pod once per attempt, before any node. A Skip leaves
// the plugin's Filter out for this pod; any other status that is not success
// ends the attempt.
type PreFilterer interface {
	PreFilter(c *Cycle, pod *Pod) *Status
}

// Filterer tells whether a pod may run on a node.
type Filterer interface {
	Filter(c *Cycle, pod *Pod, node *Node) *Status
}

// Local is a Filterer whose answer follows from the node, the pods that count
// on it, and of the pod from what Shape holds: two pods of one shape hear the
// same, until the node changes.
type Local interface {
	Filterer
	Local()
}

// Adjuster is a PreFilterer whose notes count other pods: it takes one in (by
// is 1) or out (-1), as preemption and nominated pods need it. The node counts
// the pod already, or no more.
type Adjuster interface {
	Adjust(c *Cycle, pod *Pod, other *Placed, node *Node, by int)
}

// PreScorer looks at a pod and all feasible nodes, before any is scored. Skip
// leaves the plugin's Score out for this pod.
type PreScorer interface {
	PreScore(c *Cycle, pod *Pod, nodes []*Node) *Status
}

// Scorer rates a feasible node; more is better. Without a Normalizer the
// score must be from 0 to MaxScore.
type Scorer interface {
	Score(c *Cycle, pod *Pod, node *Node) int64
}

// Normalizer brings the scores of all nodes into 0 to MaxScore, in place.
type Normalizer interface {
	Normalize(c *Cycle, pod *Pod, scores []int64)
}

// Hinter names the events that may make a pod schedulable that the plugin
// rejected. A plugin without hints is asked again after every event.
type Hinter interface {
	Hint(pod *Pod, ev Event) bool
}

// EventKind is what happened in the cluster.
type EventKind int

// Kinds of events.
const (
	NodeAdded EventKind = iota
	NodeChanged
	NodeRemoved
	PodAssigned   // a pod on a node came, or changed its labels
	PodFreed      // a pod left its node, finished or shrank
	PodChanged    // the waiting pod itself changed
	ObjectChanged // an object of another kind came, changed or went
)

// Event is a change that may matter to waiting pods. Of the fields those are
// set that the kind has.
type Event struct {
	Kind             EventKind
	OldNode, NewNode *corev1.Node
	OldPod, NewPod   *corev1.Pod
	// Old and New are of ObjectChanged and have its type; a nil pointer where
	// the object came or went.
	Old, New any
}

// Code sorts statuses.
type Code int

// Codes of a status; a nil *Status is success.
const (
	Success Code = iota
	// Unschedulable: not now; freeing resources could help.
	Unschedulable
	// Unresolvable: not on this node, whatever is freed there.
	Unresolvable
	// Skip: the plugin has nothing to say of this pod.
	Skip
	// Error: the plugin failed.
	Error
)

// Status is a plugin's answer. Statuses are shared and immutable.
type Status struct {
	Code    Code
	Reasons []string // as users read them, counted over nodes
	Plugin  string
}

// Fail makes a status of a plugin.
func Fail(plugin string, code Code, reasons ...string) *Status {
	return &Status{Code: code, Reasons: reasons, Plugin: plugin}
}

// Skipped is the status of a plugin with nothing to say.
func Skipped() *Status { return &Status{Code: Skip} }

// Is compares codes; nil is Success.
func (s *Status) Is(code Code) bool {
	if s == nil {
		return code == Success
	}
	return s.Code == code
}

// Cycle is what plugins note during one attempt, each under its own key.
type Cycle struct {
	// View is all nodes; plugins look, and change nothing.
	View  *View
	notes map[string]any
}

// NewCycle begins an attempt.
func NewCycle(view *View) *Cycle { return &Cycle{View: view} }

// Set notes something.
func (c *Cycle) Set(key string, value any) {
	if c.notes == nil {
		c.notes = make(map[string]any)
	}
	c.notes[key] = value
}

// Get reads a note; nil where there is none.
func (c *Cycle) Get(key string) any { return c.notes[key] }
