package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/knarr-io/knarr/internal/store"
)

// batch gathers the operations of one group. Nobody sees it until it is
// committed.
type batch struct {
	db       *pebble.DB
	heads    *heads
	pebble   *pebble.Batch
	it       *pebble.Iterator // over all versions; opened where it is needed
	revision store.Revision   // of the last change
	changes  []store.Change
	// modified is the state of keys that the batch changed; zero: deleted.
	modified    map[string]store.Revision
	firstExpiry uint64
	follows     []previous // of the operations that are added
	key         []byte
}

func (w *writer) newBatch() *batch {
	return &batch{
		db: w.db, heads: &w.heads, pebble: w.db.NewBatch(), revision: w.gate.Revision(),
		modified: make(map[string]store.Revision),
	}
}

func (b *batch) close() {
	if b.it != nil {
		b.it.Close()
	}
	b.pebble.Close()
}

// add checks the guards of one commit, then takes all its operations in.
func (b *batch) add(ops []store.Op) (store.Revision, error) {
	b.follows = b.follows[:0]
	for _, op := range ops {
		if op.Value != nil && op.Expect == store.Anything() {
			b.follows = append(b.follows, b.remembered(op.Key))
			continue
		}
		modified, err := b.modifiedAt(op.Key, op.Expect)
		if err != nil {
			return 0, err
		}
		if !op.Expect.Holds(modified) || op.Value == nil && modified == 0 {
			return 0, &store.ConflictError{Key: op.Key, Modified: modified}
		}
		b.follows = append(b.follows, previous{modified, true})
	}
	now := time.Now()
	for i, op := range ops {
		if err := b.put(op, b.follows[i], now); err != nil {
			return 0, fmt.Errorf("%s: %w", op.Key, err)
		}
	}
	return b.revision, nil
}

func (b *batch) put(op store.Op, follows previous, now time.Time) error {
	b.revision++
	var expiry uint64
	if op.Value != nil && op.TTL > 0 {
		expiry = uint64(now.Add(op.TTL).UnixNano())
		if b.firstExpiry == 0 || expiry < b.firstExpiry {
			b.firstExpiry = expiry
		}
		rev := binary.BigEndian.AppendUint64(nil, uint64(b.revision))
		if err := b.pebble.Set(expiryKey(expiry, op.Key), rev, nil); err != nil {
			return err
		}
	}
	b.key = appendVersion(b.key[:0], op.Key, b.revision)
	stored := encodeVersion(op.Value, expiry)
	if err := b.pebble.Set(b.key, stored, nil); err != nil {
		return err
	}
	if err := b.pebble.Set(logKey(b.revision), entry{key: op.Key, follows: follows}.encode(stored[0]), nil); err != nil {
		return err
	}
	b.changes = append(b.changes, store.Change{Key: op.Key, Value: op.Value, Revision: b.revision, Note: op.Note})
	b.modified[op.Key] = b.revision
	if op.Value == nil {
		b.modified[op.Key] = 0
	}
	return nil
}

// decided tells that a guard failed for what this batch does.
func (b *batch) decided(err error) bool {
	var conflict *store.ConflictError
	if !errors.As(err, &conflict) {
		return false
	}
	_, ours := b.modified[conflict.Key]
	return ours
}

// remembered is what is known of a key without a look into the database.
func (b *batch) remembered(key string) previous {
	if rev, ok := b.modified[key]; ok {
		return previous{rev, true}
	}
	rev, ok := b.heads.get(key)
	return previous{rev, ok}
}

// modifiedAt is when the key was last written; zero where it does not exist.
func (b *batch) modifiedAt(key string, expect store.Expect) (store.Revision, error) {
	if known := b.remembered(key); known.known {
		return known.revision, nil
	}
	if upTo, ok := expect.Absence(); ok && upTo >= b.heads.whole {
		return 0, nil // nobody wrote it since
	}
	if b.it == nil {
		it, err := b.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableData}, UpperBound: []byte{tableData + 1}})
		if err != nil {
			return 0, err
		}
		b.it = it
	}
	return b.seekModified(key)
}

func (b *batch) seekModified(key string) (store.Revision, error) {
	b.key = appendVersions(b.key[:0], key)
	if !b.it.SeekGE(b.key) {
		return 0, b.it.Error()
	}
	found, rev, err := splitVersion(b.it.Key())
	if err != nil || string(found) != key {
		return 0, err
	}
	stored, err := b.it.ValueAndErr()
	if err != nil {
		return 0, err
	}
	if value, _, err := decodeVersion(stored); err != nil || value == nil {
		return 0, err
	}
	return rev, nil
}
