package disk

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// writer is the goroutine that commits. Its fields belong to it.
type writer struct {
	*engine
	group  []*request
	heads  heads
	expiry *time.Timer // fires when the next key expires
	next   uint64      // when that is, in unix nanoseconds; zero: never
}

func newWriter(e *engine) *writer {
	w := &writer{engine: e, heads: newHeads(e.options.heads, e.gate.Revision()), expiry: time.NewTimer(time.Hour)}
	w.expiry.Stop()
	return w
}

func (w *writer) run() {
	defer w.expiry.Stop()
	w.armExpiry(w.firstExpiry())
	for {
		select {
		case <-w.queue.ready:
			w.group = w.queue.take(w.group[:0])
			w.commit(w.group)
			clear(w.group)
		case <-w.expiry.C:
			w.expire()
		case <-w.failure.done:
			return
		case <-w.closing:
			w.finish()
			return
		}
	}
}

// finish commits what was accepted before the store was closed.
func (w *writer) finish() {
	for {
		w.group = w.queue.take(w.group[:0])
		if len(w.group) == 0 {
			return
		}
		w.commit(w.group)
	}
}

// commit makes one durable batch of a group and answers each request. Requests
// whose guards fail leave no trace in the batch. They are answered at once,
// unless they lost against a write of the same batch: that has happened only
// when it is durable.
func (w *writer) commit(group []*request) {
	w.space.look()
	b := w.newBatch()
	defer b.close()
	accepted, overtaken := group[:0:0], group[:0:0]
	for _, r := range group {
		switch err := w.admit(r, b); {
		case err == nil:
			accepted = append(accepted, r)
		case b.decided(err):
			r.result.err = err
			overtaken = append(overtaken, r)
		default:
			r.answer(0, err)
		}
	}
	if err := w.publish(b); err != nil {
		answerAll(accepted, err)
		answerAll(overtaken, err)
		return
	}
	for _, r := range accepted {
		r.answer(r.result.revision, nil)
	}
	for _, r := range overtaken {
		r.answer(0, r.result.err)
	}
}

func (w *writer) admit(r *request, b *batch) error {
	if err := w.space.admit(r.ops); err != nil {
		return err
	}
	rev, err := b.add(r.ops)
	r.result.revision = rev
	return err
}

func answerAll(group []*request, err error) {
	for _, r := range group {
		r.answer(0, err)
	}
}

// publish commits a batch and makes it visible.
func (w *writer) publish(b *batch) error {
	if len(b.changes) == 0 {
		return nil
	}
	now := time.Now()
	if w.marks.due(now) {
		w.marks.add(mark{b.revision, now})
		if err := b.pebble.Set(markKey(b.revision), nanos(now), nil); err != nil {
			return err
		}
	}
	if err := w.apply(b.pebble, w.sync); err != nil {
		return err
	}
	w.heads.committed(b.modified, b.revision)
	w.gate.Advance(b.revision)
	w.hub.publish(b.changes)
	w.armExpiry(b.firstExpiry)
	w.considerCompaction()
	return nil
}

func nanos(t time.Time) []byte { return binary.BigEndian.AppendUint64(nil, uint64(t.UnixNano())) }

// apply commits to Pebble. A failed commit is a failed store: what the disk
// holds of it is not known before it is opened again.
func (e *engine) apply(b *pebble.Batch, how *pebble.WriteOptions) (err error) {
	defer func() {
		if r := recover(); r != nil { // Pebble panics where its log cannot be written
			e.fail(fmt.Errorf("commit: %v", r))
			err = e.failure.err
		}
	}()
	if err := b.Commit(how); err != nil {
		e.fail(fmt.Errorf("commit: %w", err))
	}
	select {
	case <-e.failure.done:
		return e.failure.err
	default:
		return nil
	}
}

// armExpiry makes the timer fire at the time, in unix nanoseconds, where that
// is sooner than what it is set to. Zero changes nothing.
func (w *writer) armExpiry(at uint64) {
	if at == 0 || w.next != 0 && w.next <= at {
		return
	}
	w.next = at
	w.expiry.Reset(max(0, time.Until(time.Unix(0, int64(at)))))
}
