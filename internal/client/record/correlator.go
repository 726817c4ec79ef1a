package record

import (
	"encoding/json"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Upstream's limits (client-go tools/record).
const (
	similarMost     = 10
	similarWindow   = 10 * time.Minute
	budgetBurst     = 25
	budgetPerSecond = 1.0 / 300
	remembered      = 4096 / writers // by each, which share the objects
	combinedPrefix  = "(combined from similar events): "
)

// correlator decides what becomes of a report. It is pure but for its memory
// and belongs to one goroutine.
type correlator struct {
	events  *lru[eventKey, *entry]
	similar *lru[similarKey, *similar]
	budgets *lru[objectKey, *budget]
}

type objectKey struct{ kind, namespace, name, uid, apiVersion, fieldPath string }

type similarKey struct {
	object      objectKey
	typ, reason string
}

type eventKey struct {
	similar similarKey
	message string
}

// entry is an event that was written, or is to be.
type entry struct {
	name    string // empty: not written yet
	message string
	first   time.Time
	count   int32
}

// similar holds the different messages of one reason of one object, the oldest
// first: mostly one.
type similar struct {
	messages []string
	last     time.Time
}

// budget is a token bucket.
type budget struct {
	tokens float64
	at     time.Time
}

func newCorrelator() *correlator {
	return &correlator{
		events:  newLRU[eventKey, *entry](remembered),
		similar: newLRU[similarKey, *similar](remembered),
		budgets: newLRU[objectKey, *budget](remembered),
	}
}

// take merges a report with what came before. ok is false when its object has
// used up its budget.
func (c *correlator) take(rep *report) (e *entry, ok bool) {
	ref := rep.regarding
	object := objectKey{ref.Kind, ref.Namespace, ref.Name, string(ref.UID), ref.APIVersion, ref.FieldPath}
	alike := similarKey{object: object, typ: rep.typ, reason: rep.reason}
	message, key := c.combine(alike, rep)
	e = c.events.get(key)
	if e == nil {
		e = &entry{first: rep.at}
		c.events.put(key, e)
	}
	e.count++
	e.message = message
	return e, c.afford(object, rep.at)
}

// combine gives the message under which a report is written, and what counts
// as the same event.
func (c *correlator) combine(alike similarKey, rep *report) (string, eventKey) {
	s := c.similar.get(alike)
	if s == nil || rep.at.Sub(s.last) > similarWindow {
		s = &similar{}
		c.similar.put(alike, s)
	}
	s.last = rep.at
	if !slices.Contains(s.messages, rep.message) {
		s.messages = append(s.messages, rep.message)
	}
	if len(s.messages) < similarMost {
		return rep.message, eventKey{similar: alike, message: rep.message}
	}
	s.messages = slices.Delete(s.messages, 0, 1) // so that memory stays bounded
	return combinedPrefix + rep.message, eventKey{similar: alike}
}

func (c *correlator) afford(object objectKey, now time.Time) bool {
	b := c.budgets.get(object)
	if b == nil {
		b = &budget{tokens: budgetBurst, at: now}
		c.budgets.put(object, b)
	}
	b.tokens = min(budgetBurst, b.tokens+now.Sub(b.at).Seconds()*budgetPerSecond)
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// patch raises the count of a written event.
func (e *entry) patch(rep *report) []byte {
	doc := struct {
		Count         int32       `json:"count"`
		LastTimestamp metav1.Time `json:"lastTimestamp"`
		Message       string      `json:"message"`
	}{e.count, metav1.NewTime(rep.at), e.message}
	out, err := json.Marshal(doc)
	if err != nil { // numbers, a time and a string always encode
		return []byte("{}")
	}
	return out
}
