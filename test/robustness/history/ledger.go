package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// ledger is every change that anybody saw: the true course of things, as far as
// it is known. events are in the order of their revisions.
type ledger struct {
	events []Event
	byKey  map[Key][]Event
}

// write down what all the streams told, and what of it contradicts itself.
func newLedger(streams []Stream) (*ledger, []string) {
	var violations []string
	known := map[uint64]Event{}
	for _, s := range streams {
		for _, e := range s.Events {
			before, ok := known[e.Version.Revision]
			switch {
			case !ok:
				known[e.Version.Revision] = e
			case before.Key != e.Key || before.Change != e.Change || before.Version != e.Version:
				violations = append(violations, fmt.Sprintf("revision %d was told as %v and as %v", e.Version.Revision, before, e))
			case e.At < before.At:
				known[e.Version.Revision] = e
			}
		}
	}
	l := &ledger{byKey: map[Key][]Event{}}
	l.events = slices.SortedFunc(maps.Values(known), func(a, b Event) int { return cmp.Compare(a.Version.Revision, b.Version.Revision) })
	for _, e := range l.events {
		violations = append(violations, follows(l.byKey[e.Key], e)...)
		l.byKey[e.Key] = append(l.byKey[e.Key], e)
	}
	return l, violations
}

// follows tells what is wrong with an event after the earlier ones of its key.
func follows(earlier []Event, e Event) []string {
	exists, last := false, Event{}
	if len(earlier) > 0 {
		last = earlier[len(earlier)-1]
		exists = last.Change != Deleted
	}
	switch {
	case exists == (e.Change == Added):
		return []string{fmt.Sprintf("%v follows %v", e, last)}
	case e.Change == Deleted && e.Version.Value != last.Version.Value:
		return []string{fmt.Sprintf("%v tells another last value than %v", e, last)}
	}
	return nil
}

// at is what exists of a resource at a revision.
func (l *ledger) at(resource string, revision uint64) map[string]Version {
	objects := map[string]Version{}
	for _, e := range l.events {
		if e.Version.Revision > revision {
			break
		}
		if e.Key.Resource != resource {
			continue
		}
		if e.Change == Deleted {
			delete(objects, e.Key.Name)
		} else {
			objects[e.Key.Name] = e.Version
		}
	}
	return objects
}

// version is when a value was written, and when somebody saw it first.
func (l *ledger) version(key Key, value string) (Event, bool) {
	for _, e := range l.byKey[key] {
		if e.Change != Deleted && e.Version.Value == value {
			return e, true
		}
	}
	return Event{}, false
}

// deletion is when the version of a revision was deleted.
func (l *ledger) deletion(key Key, guard uint64) (Event, bool) {
	events := l.byKey[key]
	for i := 1; i < len(events); i++ {
		if events[i].Change == Deleted && events[i-1].Version.Revision == guard {
			return events[i], true
		}
	}
	return Event{}, false
}

// String shows an event in a violation.
func (e Event) String() string {
	return fmt.Sprintf("%s %s/%s=%q at %d", e.Change, e.Key.Resource, e.Key.Name, e.Version.Value, e.Version.Revision)
}

// String shows an operation in a violation.
func (o Operation) String() string {
	return fmt.Sprintf("client %d at %s..%s: %s %s/%s value %q guard %d: %s %+v", o.Client, o.Call.Round(time.Microsecond), o.Return.Round(time.Microsecond),
		o.Verb, o.Key.Resource, o.Key.Name, o.Value, o.Guard, o.Outcome, o.Found)
}
