package record

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func at(s int) time.Time { return time.Unix(int64(s), 0) }

func sample(message string, s int) *report {
	return &report{
		regarding: corev1.ObjectReference{Kind: "Pod", Namespace: "ns", Name: "p", UID: "u"},
		typ:       corev1.EventTypeWarning, reason: "BackOff", message: message, at: at(s),
	}
}

func TestSameEventCounts(t *testing.T) {
	c := newCorrelator()
	first, ok := c.take(sample("m", 1))
	if !ok || first.count != 1 {
		t.Fatalf("first: %+v, %v", first, ok)
	}
	again, ok := c.take(sample("m", 2))
	if !ok || again != first || again.count != 2 || !again.first.Equal(at(1)) {
		t.Errorf("again: %+v, %v", again, ok)
	}
	if got := string(again.patch(sample("m", 2))); !strings.Contains(got, `"count":2`) || !strings.Contains(got, `"message":"m"`) {
		t.Errorf("patch: %s", got)
	}
}

func TestSimilarEventsCombine(t *testing.T) {
	c := newCorrelator()
	var entries []*entry
	for i := range 15 {
		e, ok := c.take(sample(fmt.Sprint("m", i), i))
		if !ok {
			t.Fatal("over budget at", i)
		}
		entries = append(entries, e)
	}
	if strings.HasPrefix(entries[8].message, combinedPrefix) {
		t.Error("the ninth was combined")
	}
	if got := entries[14]; got != entries[9] || got.message != combinedPrefix+"m14" || got.count != 6 {
		t.Errorf("the last: %+v", got)
	}
	if e, _ := c.take(sample("later", 15+601)); e.message != "later" {
		t.Errorf("after the window: %+v", e)
	}
}

func TestObjectBudget(t *testing.T) {
	c := newCorrelator()
	passed := 0
	for range 100 {
		if _, ok := c.take(sample("m", 1)); ok {
			passed++
		}
	}
	if passed != budgetBurst {
		t.Errorf("passed %d, want %d", passed, budgetBurst)
	}
	if _, ok := c.take(sample("m", 302)); !ok {
		t.Error("the budget did not refill in five minutes")
	}
	other := sample("m", 302)
	other.regarding.UID = "other"
	if _, ok := c.take(other); !ok {
		t.Error("one object's budget bound another")
	}
}

func TestLRUForgetsTheOldest(t *testing.T) {
	l := newLRU[int, string](2)
	l.put(1, "a")
	l.put(2, "b")
	l.get(1)
	l.put(3, "c")
	if l.get(2) != "" || l.get(1) != "a" || l.get(3) != "c" || len(l.items) != 2 {
		t.Errorf("holds %v", l.items)
	}
}

func TestBoundedCutsBetweenCharacters(t *testing.T) {
	got := bounded(strings.Repeat("é", 600))
	if len(got) > mostMessage || !strings.HasSuffix(got, "é ...") {
		t.Errorf("%d bytes, ends %q", len(got), got[len(got)-8:])
	}
}
