package cache

import "github.com/knarr-io/knarr/internal/store"

// EventType says what happened to an object.
type EventType uint8

// The types of events.
const (
	Added EventType = iota + 1
	Modified
	Deleted
)

func (t EventType) String() string {
	switch t {
	case Added:
		return "ADDED"
	case Modified:
		return "MODIFIED"
	case Deleted:
		return "DELETED"
	default:
		return "UNKNOWN"
	}
}

// Event is one change of one object. Events are shared and immutable.
type Event struct {
	Type EventType
	// Item is the new state; for Deleted the last one, with the deletion's
	// revision as its resourceVersion.
	Item *Item
	// Old is the state before; nil for Added.
	Old      *Item
	Revision store.Revision
}
