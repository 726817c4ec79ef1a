package disk

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/knarr-io/knarr/internal/store"
)

// watch is a cursor: what comes next lies in the hub or in the log on disk.
type watch struct {
	engine *engine
	prefix string
	cursor store.Revision // everything up to it was returned
	stop   chan struct{}
	once   sync.Once
}

// Watch yields every change of keys with the prefix after the revision.
func (e *engine) Watch(ctx context.Context, prefix string, from store.Revision) (store.Watch, error) {
	release, err := e.use()
	if err != nil {
		return nil, err
	}
	defer release()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case from < e.Oldest():
		return nil, store.ErrTooOld
	}
	return &watch{engine: e, prefix: prefix, cursor: from, stop: make(chan struct{})}, nil
}

// Next blocks for changes.
func (w *watch) Next(ctx context.Context) ([]store.Change, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		changes, cursor, wait, behind, err := w.engine.hub.since(w.cursor, w.prefix)
		if behind {
			changes, cursor, err = w.engine.readLog(w.cursor, w.prefix)
		}
		if err != nil {
			return nil, err
		}
		w.cursor = cursor
		if len(changes) > 0 {
			return changes, nil
		}
		if behind {
			continue
		}
		select {
		case <-wait:
		case <-w.stop:
			return nil, store.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Stop ends the watch.
func (w *watch) Stop() { w.once.Do(func() { close(w.stop) }) }

// logBytes bounds the values that one read of the log returns.
const logBytes = 4 << 20

// readLog reads changes after the cursor from disk, and how far it got.
func (e *engine) readLog(cursor store.Revision, prefix string) ([]store.Change, store.Revision, error) {
	release, err := e.use()
	if err != nil {
		return nil, cursor, err
	}
	defer release()
	newest := e.gate.Revision()
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: logKey(cursor + 1), UpperBound: logKey(newest + 1)})
	if err != nil {
		return nil, cursor, err
	}
	defer it.Close()
	// A clone sees the same moment; see view for why oldest is read here.
	versions, err := it.Clone(pebble.CloneOptions{
		IterOptions: &pebble.IterOptions{LowerBound: []byte{tableData}, UpperBound: []byte{tableData + 1}},
	})
	if err != nil {
		return nil, cursor, err
	}
	defer versions.Close()
	if cursor < e.Oldest() {
		return nil, cursor, store.ErrTooOld
	}
	var out []store.Change
	size := 0
	for ok := it.First(); ok && len(out) < nextChanges && size < logBytes; ok = it.Next() {
		change, err := logged(it, versions, prefix)
		if err != nil {
			return nil, cursor, err
		}
		cursor = change.Revision
		if change.Key != "" {
			out = append(out, change)
			size += len(change.Value)
		}
	}
	return out, cursor, it.Error()
}

// logged reads the change under the log's iterator; its key is empty where it
// does not have the prefix.
func logged(it, versions *pebble.Iterator, prefix string) (store.Change, error) {
	at, entry, err := readEntry(it)
	if err != nil {
		return store.Change{}, err
	}
	change := store.Change{Revision: at}
	if !strings.HasPrefix(entry.key, prefix) {
		return change, nil
	}
	change.Key = entry.key
	if entry.deleted {
		return change, nil
	}
	value, err := exactly(versions, change.Key, change.Revision)
	if err != nil {
		return store.Change{}, err
	}
	change.Value = append(make([]byte, 0, len(value)), value...)
	return change, nil
}

// exactly is the value of a version that must exist; the slice is good until
// the iterator moves.
func exactly(versions *pebble.Iterator, key string, rev store.Revision) ([]byte, error) {
	want := appendVersion(nil, key, rev)
	if !versions.SeekGE(want) || !bytes.Equal(versions.Key(), want) {
		if err := versions.Error(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("version %d of %s is missing: %w", rev, key, errCorrupt)
	}
	stored, err := versions.ValueAndErr()
	if err != nil {
		return nil, err
	}
	value, _, err := decodeVersion(stored)
	return value, err
}
