package disk

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/knarr-io/knarr/internal/store"
)

// compactAtOnce bounds the log entries that one batch of compaction handles.
const compactAtOnce = 1024

// Compact forgets states older than rev.
func (e *engine) Compact(ctx context.Context, rev store.Revision) error {
	release, err := e.use()
	if err != nil {
		return err
	}
	// Its commits never return where the store fails: the caller must.
	done := make(chan error, 1)
	go func() {
		defer release()
		done <- e.compactTo(ctx, rev)
	}()
	select {
	case err := <-done:
		return err
	case <-e.failure.done:
		return e.failure.err
	}
}

func (e *engine) compactTo(ctx context.Context, rev store.Revision) (err error) {
	e.compact.Lock()
	defer e.compact.Unlock()
	switch {
	case rev > e.gate.Revision():
		return store.ErrFuture
	case rev < e.Oldest():
		return nil
	}
	if rev > e.Oldest() {
		// First refuse what would read the states, then delete them.
		e.oldest.Store(uint64(rev))
		if err := e.writeCompacted(rev); err != nil {
			return fmt.Errorf("compaction: %w", err)
		}
	}
	// From the first entry of the log: a crash may have left some behind.
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if more, err = e.compactSome(rev); err != nil {
			return fmt.Errorf("compaction: %w", err)
		}
	}
	return nil
}

func (e *engine) writeCompacted(rev store.Revision) error {
	b := e.db.NewBatch()
	defer b.Close()
	if err := b.Set(metaKey(metaCompacted), binary.BigEndian.AppendUint64(nil, uint64(rev)), nil); err != nil {
		return err
	}
	return e.apply(b, pebble.NoSync)
}

// compactSome deletes what the first entries of the log made obsolete as of
// rev, and those entries; more tells that there are others.
func (e *engine) compactSome(rev store.Revision) (more bool, err error) {
	keys, last, more, err := e.loggedKeys(rev, compactAtOnce)
	if err != nil || last == 0 {
		return false, err
	}
	b := e.db.NewBatch()
	defer b.Close()
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableData}, UpperBound: []byte{tableData + 1}})
	if err != nil {
		return false, err
	}
	defer it.Close()
	for key := range keys {
		if err := dropObsolete(b, it, key, rev); err != nil {
			return false, err
		}
	}
	if err := b.DeleteRange([]byte{tableLog}, logKey(last+1), nil); err != nil {
		return false, err
	}
	if err := b.DeleteRange([]byte{tableMark}, markKey(last+1), nil); err != nil {
		return false, err
	}
	return more, e.apply(b, pebble.NoSync)
}

// loggedKeys are the keys of the log's first entries up to rev, and the last
// of these entries.
func (e *engine) loggedKeys(rev store.Revision, limit int) (keys map[string]struct{}, last store.Revision, more bool, err error) {
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableLog}, UpperBound: logKey(rev + 1)})
	if err != nil {
		return nil, 0, false, err
	}
	defer it.Close()
	keys = make(map[string]struct{})
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if n++; n > limit {
			return keys, last, true, nil
		}
		at, _, err := splitNumber(it.Key())
		if err != nil {
			return nil, 0, false, err
		}
		entry, err := it.ValueAndErr()
		if err != nil {
			return nil, 0, false, err
		}
		if len(entry) < 2 {
			return nil, 0, false, fmt.Errorf("log entry %d: %w", at, errCorrupt)
		}
		last = store.Revision(at)
		keys[string(entry[1:])] = struct{}{}
	}
	return keys, last, false, it.Error()
}

// dropObsolete deletes the versions of a key that no state from rev on shows:
// all before the newest as of rev, and that one too where it is a deletion.
func dropObsolete(b *pebble.Batch, it *pebble.Iterator, key string, rev store.Revision) error {
	ok := it.SeekGE(appendVersion(nil, key, rev))
	for first := true; ok; first, ok = false, it.Next() {
		found, _, err := splitVersion(it.Key())
		if err != nil {
			return err
		}
		if string(found) != key {
			break
		}
		if first {
			stored, err := it.ValueAndErr()
			if err != nil {
				return err
			}
			if value, _, err := decodeVersion(stored); err != nil || value != nil {
				if err != nil {
					return err
				}
				continue
			}
		}
		if err := b.Delete(it.Key(), nil); err != nil {
			return err
		}
	}
	return it.Error()
}
