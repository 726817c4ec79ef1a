package history

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Verdict is what is wrong with a history.
type Verdict struct {
	// Violations are sentences; none where all is well.
	Violations []string
	// Drawing writes a page that shows why requests are not linearizable; nil
	// where they are.
	Drawing func(io.Writer) error
}

// patience bounds the search for an order.
const patience = 5 * time.Minute

// Check judges a history. Its streams must reach, together and without a gap,
// from the first write of each resource to its last.
func (h *History) Check() Verdict {
	var v Verdict
	l, violations := newLedger(h.Streams)
	v.Violations = append(v.Violations, violations...)
	for _, s := range h.Streams {
		v.Violations = append(v.Violations, checkStream(s, l)...)
	}
	for _, list := range h.Listings {
		v.Violations = append(v.Violations, checkListing(list, l)...)
	}
	settled := settle(h.Operations, l)
	v.Violations = append(v.Violations, checkAcknowledged(settled, l)...)
	v.Violations = append(v.Violations, h.checkTime(settled)...)
	violations, v.Drawing = linearizable(settled, patience)
	v.Violations = append(v.Violations, violations...)
	return v
}

// checkStream: every change between its ends, once, in order.
func checkStream(s Stream, l *ledger) []string {
	var violations []string
	told, last := map[uint64]bool{}, s.From
	for _, e := range s.Events {
		if e.Version.Revision <= last {
			violations = append(violations, fmt.Sprintf("a watch from %d told %v after revision %d", s.From, e, last))
		}
		if e.Key.Resource != s.Resource {
			violations = append(violations, fmt.Sprintf("a watch of %s told %v", s.Resource, e))
		}
		last = max(last, e.Version.Revision)
		told[e.Version.Revision] = true
	}
	for _, e := range l.events {
		if r := e.Version.Revision; e.Key.Resource == s.Resource && r > s.From && r <= s.Through && !told[r] {
			violations = append(violations, fmt.Sprintf("a watch from %d through %d did not tell %v", s.From, s.Through, e))
		}
	}
	return violations
}

// checkListing: what it shows is what was there at its revision.
func checkListing(list Listing, l *ledger) []string {
	want := l.at(list.Resource, list.Revision)
	if maps.Equal(list.Objects, want) {
		return nil
	}
	return []string{fmt.Sprintf("a list of %s at %s shows %v at revision %d, and there was %v", list.Resource, list.Call, list.Objects, list.Revision, want)}
}

// checkAcknowledged: every write that was answered with an object was told by
// the watches, at its revision.
func checkAcknowledged(settled []Operation, l *ledger) []string {
	var violations []string
	for _, op := range settled {
		if op.Outcome != Done || op.Verb == Delete {
			continue
		}
		if e, ok := l.version(op.Key, op.Found.Value); !ok || e.Version != op.Found {
			violations = append(violations, fmt.Sprintf("%v: no watch told it", op))
		}
	}
	return violations
}

// moment is a revision that somebody was told, or a write.
type moment struct {
	revision  uint64
	call, end time.Duration
	write     bool
	what      string
}

// checkTime: whoever writes or lists gets a revision no older than all that was
// known, over all objects, when they began; a write gets a newer one.
func (h *History) checkTime(settled []Operation) []string {
	var moments []moment
	for _, op := range settled {
		if op.Outcome == Done && op.Verb != Delete && op.Verb != Get {
			moments = append(moments, moment{op.Found.Revision, op.Call, op.Return, true, op.String()})
		}
	}
	for _, list := range h.Listings {
		moments = append(moments, moment{list.Revision, list.Call, list.Return, false, "a list of " + list.Resource})
	}
	ends := slices.Clone(moments)
	slices.SortFunc(ends, func(a, b moment) int { return cmp.Compare(a.end, b.end) })
	slices.SortFunc(moments, func(a, b moment) int { return cmp.Compare(a.call, b.call) })
	var violations []string
	var newest moment
	for _, m := range moments {
		for len(ends) > 0 && ends[0].end < m.call {
			if ends[0].revision > newest.revision {
				newest = ends[0]
			}
			ends = ends[1:]
		}
		if m.revision < newest.revision || m.write && m.revision == newest.revision && newest.revision > 0 {
			violations = append(violations, fmt.Sprintf("%s got revision %d, begun after revision %d was known by %s", m.what, m.revision, newest.revision, newest.what))
		}
	}
	return violations
}
