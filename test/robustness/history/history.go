package history

import (
	"sync"
	"time"
)

// Verb is what a request asks for.
type Verb string

// The verbs that the model knows.
const (
	Create Verb = "create"
	Update Verb = "update" // guarded by a revision
	Patch  Verb = "patch"  // of whatever there is
	Delete Verb = "delete" // guarded by a revision
	Get    Verb = "get"
)

// Outcome is how a request was answered.
type Outcome string

// The outcomes. Refused requests are known to have done nothing; Lost ones may
// have done what they asked for, then or later.
const (
	Done     Outcome = "done"
	Missing  Outcome = "missing"
	Exists   Outcome = "exists"
	Conflict Outcome = "conflict"
	Refused  Outcome = "refused"
	Lost     Outcome = "lost"
)

// Key names an object.
type Key struct{ Resource, Name string }

// Version is an object's content at a revision. Values are written once each,
// so that a value tells who wrote it.
type Version struct {
	Revision uint64
	Value    string
}

// Operation is a request and its answer.
type Operation struct {
	Client int
	Key    Key
	Verb   Verb
	// Value is what it writes, Guard the revision that it names.
	Value string
	Guard uint64

	Call, Return time.Duration // since the run began
	Outcome      Outcome
	// Found is the object as answered, by Done reads and writes; not by Delete.
	Found Version
}

// Change is what happened to an object at a revision.
type Change string

// The changes, by their names in a watch.
const (
	Added    Change = "ADDED"
	Modified Change = "MODIFIED"
	Deleted  Change = "DELETED"
)

// Event is a change as a watch told it. A deletion has the last value, and a
// revision of its own.
type Event struct {
	Key     Key
	Change  Change
	Version Version
	At      time.Duration // when it arrived
}

// Stream is one watch of a resource: what it told of the changes after From.
// Through is the last revision that it vouched for, by an event or a bookmark.
type Stream struct {
	Resource      string
	From, Through uint64
	Events        []Event
}

// Listing is a consistent list of a resource.
type Listing struct {
	Resource     string
	Revision     uint64
	Call, Return time.Duration
	Objects      map[string]Version // by name
}

// History is everything that clients saw. Its methods may be called by many at
// a time.
type History struct {
	mu sync.Mutex
	// Guarded by mu while there are recorders.
	Operations []Operation
	Streams    []Stream
	Listings   []Listing
}

// Operation adds a request.
func (h *History) Operation(op Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.Operations = append(h.Operations, op)
}

// Stream adds a watch that has ended.
func (h *History) Stream(s Stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.Streams = append(h.Streams, s)
}

// Listing adds a list.
func (h *History) Listing(l Listing) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.Listings = append(h.Listings, l)
}
