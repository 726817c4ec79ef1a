package reconcile

import (
	"container/heap"
	"sync"
	"time"
)

// queue hands out keys, each to one worker at a time.
type queue[K comparable] struct {
	mu struct {
		sync.Mutex
		ready   []K
		since   map[K]time.Time // when a ready key was added
		dirty   map[K]bool      // to be worked on: in ready, or again once finished
		running map[K]bool
		later   delays[K]
		timer   *time.Timer
		closed  bool
		// elapsed and wall are what two clocks said when they were compared.
		elapsed, wall time.Time
	}
	wake *sync.Cond
	// clock tells the time of day; timers know only time that the machine was
	// awake.
	clock func() time.Time
}

const (
	// lookEvery is how often the clock is looked at while keys wait.
	lookEvery = time.Minute
	// smallStep of the clock is none: it is not read at once with the other.
	smallStep = time.Second
)

func newQueue[K comparable]() *queue[K] {
	q := &queue[K]{clock: func() time.Time { return time.Now().Round(0) }}
	q.wake = sync.NewCond(&q.mu)
	q.mu.since = make(map[K]time.Time)
	q.mu.dirty = make(map[K]bool)
	q.mu.running = make(map[K]bool)
	q.mu.later.at = make(map[K]*delay[K])
	return q
}

// add makes a key due now. It tells whether the key was new to the queue.
func (q *queue[K]) add(key K) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.addLocked(key)
}

func (q *queue[K]) addLocked(key K) bool {
	if q.mu.closed || q.mu.dirty[key] {
		return false
	}
	q.mu.dirty[key] = true
	if q.mu.running[key] {
		return true
	}
	q.mu.since[key] = time.Now()
	q.mu.ready = append(q.mu.ready, key)
	q.wake.Signal()
	return true
}

// addAfter makes a key due later; the earlier of two such times counts.
func (q *queue[K]) addAfter(key K, d time.Duration) {
	if d <= 0 {
		q.add(key)
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed {
		return
	}
	due := q.lookLocked().Add(d)
	if have := q.mu.later.at[key]; have != nil {
		if due.Before(have.due) {
			have.due = due
			heap.Fix(&q.mu.later, have.index)
			q.armLocked()
		}
		return
	}
	heap.Push(&q.mu.later, &delay[K]{key: key, due: due})
	q.armLocked()
}

// armLocked sets the one timer to the earliest delayed key.
func (q *queue[K]) armLocked() {
	if len(q.mu.later.heap) == 0 || q.mu.closed {
		return
	}
	wait := min(time.Until(q.mu.later.heap[0].due), lookEvery)
	if q.mu.timer == nil {
		q.mu.timer = time.AfterFunc(wait, q.release)
		return
	}
	q.mu.timer.Reset(wait)
}

// lookLocked gives the time, and makes keys due earlier by what the clock went
// forward beside it: the machine slept so long, or was told the right time. A
// key that comes too early by that waits again for what is left.
func (q *queue[K]) lookLocked() time.Time {
	now, wall := time.Now(), q.clock()
	step := wall.Sub(q.mu.wall) - now.Sub(q.mu.elapsed)
	q.mu.elapsed, q.mu.wall = now, wall
	if step > smallStep {
		for _, d := range q.mu.later.heap {
			d.due = d.due.Add(-step)
		}
	}
	return now
}

// release moves keys whose time has come.
func (q *queue[K]) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.lookLocked()
	for len(q.mu.later.heap) > 0 && !q.mu.later.heap[0].due.After(now) {
		q.addLocked(heap.Pop(&q.mu.later).(*delay[K]).key)
	}
	q.armLocked()
}

// next blocks for a key; ok is false once the queue is closed. waited is how
// long the key stood ready.
func (q *queue[K]) next() (key K, waited time.Duration, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.mu.ready) == 0 && !q.mu.closed {
		q.wake.Wait()
	}
	if q.mu.closed {
		return key, 0, false
	}
	key = q.mu.ready[0]
	var none K
	q.mu.ready[0] = none
	q.mu.ready = q.mu.ready[1:]
	waited = time.Since(q.mu.since[key])
	delete(q.mu.since, key)
	delete(q.mu.dirty, key)
	q.mu.running[key] = true
	return key, waited, true
}

// done ends the work on a key; it becomes ready again if it was added
// meanwhile.
func (q *queue[K]) done(key K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.mu.running, key)
	if q.mu.dirty[key] && !q.mu.closed {
		q.mu.since[key] = time.Now()
		q.mu.ready = append(q.mu.ready, key)
		q.wake.Signal()
	}
}

// len is the number of keys that are ready.
func (q *queue[K]) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.mu.ready)
}

// close wakes every worker and drops what is queued.
func (q *queue[K]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.closed = true
	if q.mu.timer != nil {
		q.mu.timer.Stop()
	}
	q.wake.Broadcast()
}

// delay is a key that is due later.
type delay[K comparable] struct {
	key   K
	due   time.Time
	index int
}

// delays is a heap by due time.
type delays[K comparable] struct {
	heap []*delay[K]
	at   map[K]*delay[K]
}

func (d *delays[K]) Len() int           { return len(d.heap) }
func (d *delays[K]) Less(i, j int) bool { return d.heap[i].due.Before(d.heap[j].due) }
func (d *delays[K]) Swap(i, j int) {
	d.heap[i], d.heap[j] = d.heap[j], d.heap[i]
	d.heap[i].index, d.heap[j].index = i, j
}

// Push implements heap.Interface.
func (d *delays[K]) Push(x any) {
	item := x.(*delay[K])
	item.index = len(d.heap)
	d.at[item.key] = item
	d.heap = append(d.heap, item)
}

// Pop implements heap.Interface.
func (d *delays[K]) Pop() any {
	last := len(d.heap) - 1
	item := d.heap[last]
	d.heap[last] = nil
	d.heap = d.heap[:last]
	delete(d.at, item.key)
	return item
}
