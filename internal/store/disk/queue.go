package disk

import (
	"sync"

	"github.com/knarr-io/knarr/internal/store"
)

// request is a commit on its way to the writer.
type request struct {
	ops    []store.Op
	result result
	done   chan struct{} // closed when result is set
}

type result struct {
	revision store.Revision
	err      error
}

func (r *request) answer(rev store.Revision, err error) {
	r.result = result{rev, err}
	close(r.done)
}

// queue holds the requests that the writer has not taken yet. Every entry has
// a goroutine that waits for it, so callers bound its length.
type queue struct {
	ready chan struct{} // has a token when there may be requests

	mu      sync.Mutex
	waiting []*request // guarded by mu
	closed  bool       // guarded by mu
}

func (q *queue) init() { q.ready = make(chan struct{}, 1) }

func (q *queue) push(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return store.ErrClosed
	}
	q.waiting = append(q.waiting, r)
	q.signal()
	return nil
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// withdraw takes a request back; false means that the writer has it.
func (q *queue) withdraw(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, w := range q.waiting {
		if w == r {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			return true
		}
	}
	return false
}

const (
	// groupRequests and groupBytes bound what one synced batch carries.
	groupRequests = 1024
	groupBytes    = 4 << 20
)

// take gives the next group, at least one request where there is any.
func (q *queue) take(into []*request) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < len(q.waiting) && n < groupRequests && size < groupBytes {
		for _, op := range q.waiting[n].ops {
			size += len(op.Key) + len(op.Value)
		}
		n++
	}
	into = append(into, q.waiting[:n]...)
	rest := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
	if rest > 0 {
		q.signal()
	}
	return into
}

// close refuses further requests; false means that it was closed before.
func (q *queue) close() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.closed = true
	return true
}
