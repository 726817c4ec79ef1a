package history

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

var (
	keyA = Key{"configmaps", "a"}
	keyB = Key{"configmaps", "b"}
)

const ms = time.Millisecond

// good is a short history that breaks no promise: a is created, updated by one
// of two, patched by somebody who never heard of it, deleted by one of two who
// never heard either, and created again.
func good() *History {
	events := []Event{
		{keyA, Added, Version{10, "a1"}, 2 * ms},
		{keyB, Added, Version{11, "b1"}, 4 * ms},
		{keyA, Modified, Version{12, "a2"}, 6 * ms},
		{keyA, Modified, Version{14, "a3"}, 12 * ms},
		{keyA, Deleted, Version{16, "a3"}, 17 * ms},
		{keyA, Added, Version{20, "a4"}, 22 * ms},
	}
	return &History{
		Operations: []Operation{
			{1, keyA, Create, "a1", 0, 1 * ms, 3 * ms, Done, Version{10, "a1"}},
			{2, keyB, Create, "b1", 0, 2 * ms, 5 * ms, Done, Version{11, "b1"}},
			{1, keyA, Update, "a2", 10, 5 * ms, 7 * ms, Done, Version{12, "a2"}},
			{2, keyA, Update, "ax", 10, 6 * ms, 8 * ms, Conflict, Version{}},
			{3, keyA, Create, "ay", 0, 8 * ms, 9 * ms, Exists, Version{}},
			{1, keyA, Patch, "a3", 0, 10 * ms, 11 * ms, Lost, Version{}},
			{2, keyA, Patch, "az", 0, 10 * ms, 11 * ms, Lost, Version{}}, // it never happened
			{3, keyA, Get, "", 0, 13 * ms, 14 * ms, Done, Version{14, "a3"}},
			{1, keyA, Delete, "", 14, 15 * ms, 16 * ms, Lost, Version{}},
			{2, keyA, Delete, "", 14, 15 * ms, 16 * ms, Lost, Version{}},
			{3, keyA, Get, "", 0, 18 * ms, 19 * ms, Missing, Version{}},
			{3, keyA, Update, "aw", 14, 18 * ms, 19 * ms, Missing, Version{}},
			{3, keyA, Create, "a4", 0, 20 * ms, 21 * ms, Done, Version{20, "a4"}},
			{3, keyB, Create, "bx", 0, 20 * ms, 21 * ms, Refused, Version{}},
		},
		Streams: []Stream{
			{"configmaps", 9, 14, events[:4]},
			{"configmaps", 14, 25, events[4:]},
			{"configmaps", 11, 16, events[2:5]},
		},
		Listings: []Listing{
			{"configmaps", 13, 7 * ms, 8 * ms, map[string]Version{"a": {12, "a2"}, "b": {11, "b1"}}},
			{"configmaps", 22, 30 * ms, 31 * ms, map[string]Version{"a": {20, "a4"}, "b": {11, "b1"}}},
		},
	}
}

func TestAGoodHistoryHasNoViolation(t *testing.T) {
	if v := good().Check(); len(v.Violations) > 0 || v.Drawing != nil {
		t.Errorf("%q", v.Violations)
	}
}

// Each broken promise is found.
func TestViolations(t *testing.T) {
	for name, tt := range map[string]struct {
		breaks func(h *History)
		want   string
	}{
		"an acknowledged write is lost": {func(h *History) {
			h.Operations = append(h.Operations, Operation{4, keyB, Update, "b2", 11, 32 * ms, 33 * ms, Done, Version{21, "b2"}})
		}, "no watch told it"},
		"an acknowledged deletion is lost": {func(h *History) {
			h.Operations = append(h.Operations,
				Operation{4, keyB, Delete, "", 11, 32 * ms, 33 * ms, Done, Version{}},
				Operation{4, keyB, Get, "", 0, 34 * ms, 35 * ms, Done, Version{11, "b1"}})
		}, "configmaps/b are not linearizable"},
		"a read is stale": {func(h *History) {
			h.Operations = append(h.Operations, Operation{4, keyA, Get, "", 0, 13 * ms, 14 * ms, Done, Version{12, "a2"}})
		}, "configmaps/a are not linearizable"},
		"two updates of one version are done": {func(h *History) {
			h.Operations[3].Outcome, h.Operations[3].Found = Done, Version{13, "ax"}
		}, "not linearizable"},
		"a conflict with nothing": {func(h *History) {
			h.Operations = append(h.Operations, Operation{4, keyB, Update, "b2", 11, 6 * ms, 7 * ms, Conflict, Version{}})
		}, "there is no place for client 4"},
		"a create over what is there": {func(h *History) {
			h.Operations[4].Outcome = Missing
		}, "not linearizable"},
		"a watch skips an event": {func(h *History) {
			h.Streams[2].Events = []Event{h.Streams[2].Events[0], h.Streams[2].Events[2]}
		}, `did not tell MODIFIED configmaps/a="a3" at 14`},
		"a watch skips an event before a bookmark": {func(h *History) {
			h.Streams[0].Through = 16
		}, "did not tell DELETED"},
		"a watch tells an event twice": {func(h *History) {
			h.Streams[0].Events = append(h.Streams[0].Events, h.Streams[0].Events[3])
		}, "after revision 14"},
		"a watch tells what it was not asked for": {func(h *History) {
			h.Streams[1].From = 16
		}, "a watch from 16 told"},
		"a watch tells of another resource": {func(h *History) {
			h.Streams[1].Resource = "secrets"
		}, "a watch of secrets told"},
		"a revision is used twice": {func(h *History) {
			h.Streams[2].Events = append([]Event(nil), h.Streams[2].Events...)
			h.Streams[2].Events[0].Version.Value = "other"
		}, "revision 12 was told as"},
		"a deletion tells another value": {func(h *History) {
			h.Streams = h.Streams[:2]
			h.Streams[1].Events = append([]Event(nil), h.Streams[1].Events...)
			h.Streams[1].Events[0].Version.Value = "other"
		}, "tells another last value"},
		"an object is added twice": {func(h *History) {
			h.Streams = h.Streams[:2]
			h.Streams[1].Events = h.Streams[1].Events[1:]
		}, "follows MODIFIED"},
		"a list is of no one revision": {func(h *History) {
			h.Listings[0].Objects["a"] = Version{14, "a3"}
		}, "a list of configmaps"},
		"a list is stale": {func(h *History) {
			h.Listings[0].Call, h.Listings[0].Return = 32*ms, 33*ms
		}, "a list of configmaps got revision 13, begun after revision 2"},
		"a later write gets an earlier revision": {func(h *History) {
			h.Operations[1].Call, h.Operations[1].Return = 30*ms, 31*ms
		}, "got revision 11, begun after revision 20 was known"},
	} {
		t.Run(name, func(t *testing.T) {
			h := good()
			tt.breaks(h)
			got := strings.Join(h.Check().Violations, "\n")
			if !strings.Contains(got, tt.want) {
				t.Errorf("no %q in\n%s", tt.want, got)
			}
		})
	}
}

// A history that was written down is judged as the one in memory, and a page
// can be drawn of what is not linearizable.
func TestAHistoryIsReadAgain(t *testing.T) {
	h := good()
	h.Operations[7].Found = Version{12, "a2"}
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var again History
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	v := again.Check()
	if len(v.Violations) != 1 || v.Drawing == nil {
		t.Fatalf("%q", v.Violations)
	}
	var page bytes.Buffer
	if err := v.Drawing(&page); err != nil || !strings.Contains(page.String(), "<html") {
		t.Errorf("the page has %d bytes, %v", page.Len(), err)
	}
}
