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
	b := e.db.NewBatch()
	defer b.Close()
	search, last, more, err := e.dropFollowed(b, rev, compactAtOnce)
	if err != nil || last == 0 {
		return false, err
	}
	if err := e.dropFound(b, search, rev); err != nil {
		return false, err
	}
	if err := b.DeleteRange([]byte{tableLog}, logKey(last+1), nil); err != nil {
		return false, err
	}
	if err := b.DeleteRange([]byte{tableMark}, markKey(last+1), nil); err != nil {
		return false, err
	}
	return more, e.apply(b, pebble.NoSync)
}

// dropFollowed deletes the versions whose place was taken by those that the
// log's first entries up to rev are about. It gives the keys that have to be
// searched for such versions, and the last of these entries.
func (e *engine) dropFollowed(b *pebble.Batch, rev store.Revision, limit int) (search map[string]struct{}, last store.Revision, more bool, err error) {
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableLog}, UpperBound: logKey(rev + 1)})
	if err != nil {
		return nil, 0, false, err
	}
	defer it.Close()
	search = make(map[string]struct{})
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if n++; n > limit {
			return search, last, true, nil
		}
		at, entry, err := readEntry(it)
		if err != nil {
			return nil, 0, false, err
		}
		last = at
		if !entry.follows.known {
			search[entry.key] = struct{}{}
		} else if err := dropOne(b, entry, at); err != nil {
			return nil, 0, false, err
		}
	}
	return search, last, false, it.Error()
}

// dropOne deletes what nobody sees after the entry: the version before it, and
// its own where that is a deletion.
func dropOne(b *pebble.Batch, e entry, at store.Revision) error {
	if e.follows.revision > 0 {
		if err := b.Delete(appendVersion(nil, e.key, e.follows.revision), nil); err != nil {
			return err
		}
	}
	if !e.deleted {
		return nil
	}
	return b.Delete(appendVersion(nil, e.key, at), nil)
}

// dropFound searches the versions of keys for those that are obsolete as of rev.
func (e *engine) dropFound(b *pebble.Batch, keys map[string]struct{}, rev store.Revision) error {
	if len(keys) == 0 {
		return nil
	}
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableData}, UpperBound: []byte{tableData + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	for key := range keys {
		if err := dropObsolete(b, it, key, rev); err != nil {
			return err
		}
	}
	return nil
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
