package disk

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/knarr-io/knarr/internal/store"
)

// expireAtOnce bounds the keys that one batch expires.
const expireAtOnce = 512

// due is an entry of the expiry table.
type due struct {
	entry []byte
	key   string
	rev   store.Revision
}

// firstExpiry is when the next key expires, in unix nanoseconds; zero: never.
func (w *writer) firstExpiry() uint64 {
	it, err := w.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableExpiry}, UpperBound: []byte{tableExpiry + 1}})
	if err != nil {
		return 0
	}
	defer it.Close()
	if !it.First() {
		return 0
	}
	at, _, err := splitNumber(it.Key())
	if err != nil {
		return 0
	}
	return at
}

// expiryRetry is when expiry is tried again after it failed.
const expiryRetry = 10 * time.Second

// expire deletes what is due, as an ordinary commit, and sets the timer for
// what comes next.
func (w *writer) expire() {
	w.next = 0
	if err := w.expireDue(); err != nil {
		w.log.Warn("keys could not be expired and are tried again", "error", err)
		w.armExpiry(uint64(time.Now().Add(expiryRetry).UnixNano()))
		return
	}
	w.armExpiry(w.firstExpiry())
}

// expireDue drops entries whose key was written or deleted since then.
func (w *writer) expireDue() error {
	w.space.look()
	if err := w.space.admit(nil); err != nil {
		return err
	}
	entries, err := w.dueEntries(uint64(time.Now().UnixNano()))
	if err != nil || len(entries) == 0 {
		return err
	}
	b := w.newBatch()
	defer b.close()
	for _, d := range entries {
		op := store.Op{Key: d.key, Expect: store.ModifiedAt(d.rev)}
		if _, err := b.add([]store.Op{op}); err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
		if err := b.pebble.Delete(d.entry, nil); err != nil {
			return err
		}
	}
	if len(b.changes) == 0 {
		return w.apply(b.pebble, w.sync)
	}
	return w.publish(b)
}

func (w *writer) dueEntries(now uint64) ([]due, error) {
	it, err := w.db.NewIter(&pebble.IterOptions{
		LowerBound: []byte{tableExpiry}, UpperBound: numberKey(tableExpiry, now+1),
	})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var out []due
	for ok := it.First(); ok && len(out) < expireAtOnce; ok = it.Next() {
		_, key, err := splitNumber(it.Key())
		if err != nil {
			return nil, err
		}
		value, err := it.ValueAndErr()
		if err != nil || len(value) != 8 {
			return nil, errors.Join(errCorrupt, err)
		}
		out = append(out, due{
			entry: append([]byte(nil), it.Key()...), key: string(key),
			rev: store.Revision(binary.BigEndian.Uint64(value)),
		})
	}
	return out, it.Error()
}
