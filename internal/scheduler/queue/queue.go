// Package queue holds the pods that wait for a node: those to be tried now,
// those in back-off, and those that nothing but an event can help.
//
// A queue belongs to one goroutine and takes the time as an argument, so that
// it is a pure state machine. Every waiting pod is in exactly one place.
package queue

import (
	"cmp"
	"container/heap"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// Upstream's defaults.
const (
	firstBackoff = time.Second
	longBackoff  = 10 * time.Second
	// longPark is after how long a pod is tried again although nothing
	// happened.
	longPark = 5 * time.Minute
)

// Entry is a waiting pod.
type Entry struct {
	Pod      *framework.Pod
	Attempts int
	// Added is when the pod came into the queue first.
	Added time.Time

	gate     framework.PreEnqueuer // who holds a gated pod back
	rejected []framework.Plugin    // who said no in the last attempt; nil: nobody in particular
	place    *place
	index    int
	due      time.Time // end of the back-off, or of the parking
	failed   time.Time
}

// Queue is the state machine. Make it with New.
type Queue struct {
	byUID                   map[types.UID]*Entry
	active, backoff, parked *place
	gated                   map[types.UID]*Entry
	gates                   []framework.PreEnqueuer
	pauses                  Backoff
}

// Backoff is how long a pod waits after an attempt that failed: First, and
// twice as long each time, up to Most. Zero values mean upstream's.
type Backoff struct{ First, Most time.Duration }

// New makes an empty queue; gates decide which pods may be tried at all.
func New(gates []framework.PreEnqueuer, b Backoff) *Queue {
	b.First, b.Most = cmp.Or(b.First, firstBackoff), cmp.Or(b.Most, longBackoff)
	return &Queue{
		byUID:   make(map[types.UID]*Entry),
		active:  &place{less: byPriority},
		backoff: &place{less: byDue}, parked: &place{less: byDue},
		gated: make(map[types.UID]*Entry), gates: gates, pauses: b,
	}
}

// Lengths are the numbers of pods per place.
func (q *Queue) Lengths() (active, backoff, parked, gated int) {
	return len(q.active.list), len(q.backoff.list), len(q.parked.list), len(q.gated)
}

// Set adds a pod, or takes its newer version, which may make it schedulable.
func (q *Queue) Set(pod *framework.Pod, now time.Time) {
	e := q.byUID[pod.UID]
	if e == nil {
		e = &Entry{Pod: pod, Added: now}
		q.byUID[pod.UID] = e
		q.admit(e, now)
		return
	}
	old := e.Pod
	e.Pod = pod
	switch {
	case e.place == nil: // gated, or in an attempt
		if q.gated[pod.UID] != nil {
			delete(q.gated, pod.UID)
			q.admit(e, now)
		}
	case e.place == q.parked:
		if concerned(e, framework.Event{Kind: framework.PodChanged, OldPod: old.Pod, NewPod: pod.Pod}) {
			q.wake(e, now)
		}
	case e.place == q.active:
		heap.Fix(q.active, e.index)
	}
}

// admit puts a pod into the active place unless a gate holds it.
func (q *Queue) admit(e *Entry, now time.Time) {
	for _, g := range q.gates {
		if !g.PreEnqueue(e.Pod.Pod).Is(framework.Success) {
			q.gated[e.Pod.UID], e.gate = e, g
			return
		}
	}
	if e.Attempts > 0 && e.due.After(now) {
		q.put(q.backoff, e)
		return
	}
	q.put(q.active, e)
}

// Drop forgets a pod.
func (q *Queue) Drop(uid types.UID) {
	e := q.byUID[uid]
	if e == nil {
		return
	}
	delete(q.byUID, uid)
	delete(q.gated, uid)
	if e.place != nil {
		heap.Remove(e.place, e.index)
		e.place = nil
	}
}

// Has tells whether the pod waits, or is being tried.
func (q *Queue) Has(uid types.UID) bool { return q.byUID[uid] != nil }

// Pop takes the pod that is to be tried next; nil when there is none. The pod
// stays known until Drop, or waits again after Fail.
func (q *Queue) Pop(now time.Time) *Entry {
	q.release(now)
	if len(q.active.list) == 0 {
		return nil
	}
	e := heap.Pop(q.active).(*Entry)
	e.place = nil
	e.Attempts++
	return e
}

// Fail takes a pod back after an attempt. rejected are the plugins that said
// no; none with err set is a failure of ours, to be tried again after the
// back-off.
func (q *Queue) Fail(e *Entry, rejected []framework.Plugin, err bool, now time.Time) {
	if q.byUID[e.Pod.UID] != e {
		return // deleted meanwhile
	}
	e.rejected, e.failed = rejected, now
	e.due = now.Add(q.pauses.after(e.Attempts))
	if err {
		q.put(q.backoff, e)
		return
	}
	e.due = now.Add(longPark)
	q.put(q.parked, e)
}

// Happened wakes the parked pods that an event may help, and asks the gates of
// others anew.
func (q *Queue) Happened(ev framework.Event, now time.Time) {
	for uid, e := range q.gated {
		if h, ok := e.gate.(framework.Hinter); ok && h.Hint(e.Pod, ev) {
			delete(q.gated, uid)
			q.admit(e, now)
		}
	}
	var woken []*Entry
	for _, e := range q.parked.list {
		if concerned(e, ev) {
			woken = append(woken, e)
		}
	}
	for _, e := range woken {
		q.wake(e, now)
	}
}

// Wake moves a pod on that is parked, whatever it was rejected for.
func (q *Queue) Wake(uid types.UID, now time.Time) {
	if e := q.byUID[uid]; e != nil && e.place == q.parked {
		q.wake(e, now)
	}
}

// Due is when the next pod becomes active by itself; zero: never.
func (q *Queue) Due() time.Time {
	var due time.Time
	for _, p := range []*place{q.backoff, q.parked} {
		if len(p.list) > 0 && (due.IsZero() || p.list[0].due.Before(due)) {
			due = p.list[0].due
		}
	}
	return due
}

// release moves pods whose time has come.
func (q *Queue) release(now time.Time) {
	for len(q.backoff.list) > 0 && !q.backoff.list[0].due.After(now) {
		e := heap.Pop(q.backoff).(*Entry)
		e.place = nil
		q.admit(e, now)
	}
	for len(q.parked.list) > 0 && !q.parked.list[0].due.After(now) {
		e := heap.Pop(q.parked).(*Entry)
		e.place = nil
		q.admit(e, now)
	}
}

// wake moves a parked pod on: to its back-off where that is not over.
func (q *Queue) wake(e *Entry, now time.Time) {
	heap.Remove(q.parked, e.index)
	e.place = nil
	e.due = e.failed.Add(q.pauses.after(e.Attempts))
	q.admit(e, now)
}

func (q *Queue) put(p *place, e *Entry) {
	e.place = p
	heap.Push(p, e)
}

// concerned asks those who rejected the pod whether the event could change
// their mind.
func concerned(e *Entry, ev framework.Event) bool {
	if len(e.rejected) == 0 {
		return true
	}
	for _, p := range e.rejected {
		h, ok := p.(framework.Hinter)
		if !ok || h.Hint(e.Pod, ev) {
			return true
		}
	}
	return false
}

func (b Backoff) after(attempts int) time.Duration {
	d := b.First
	for i := 1; i < attempts && d < b.Most; i++ {
		d *= 2
	}
	return min(d, b.Most)
}

func byPriority(a, b *Entry) bool {
	if pa, pb := priority(a), priority(b); pa != pb {
		return pa > pb
	}
	return a.Added.Before(b.Added)
}

func priority(e *Entry) int32 {
	if p := e.Pod.Spec.Priority; p != nil {
		return *p
	}
	return 0
}

func byDue(a, b *Entry) bool { return a.due.Before(b.due) }

// place is a heap of entries.
type place struct {
	list []*Entry
	less func(a, b *Entry) bool
}

func (p *place) Len() int           { return len(p.list) }
func (p *place) Less(i, j int) bool { return p.less(p.list[i], p.list[j]) }
func (p *place) Swap(i, j int) {
	p.list[i], p.list[j] = p.list[j], p.list[i]
	p.list[i].index, p.list[j].index = i, j
}

// Push implements heap.Interface.
func (p *place) Push(x any) {
	e := x.(*Entry)
	e.index = len(p.list)
	p.list = append(p.list, e)
}

// Pop implements heap.Interface.
func (p *place) Pop() any {
	last := len(p.list) - 1
	e := p.list[last]
	p.list[last] = nil
	p.list = p.list[:last]
	return e
}
