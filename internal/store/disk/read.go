package disk

import (
	"bytes"
	"context"

	"github.com/cockroachdb/pebble/v2"

	"github.com/knarr-io/knarr/internal/store"
)

// Get reads one key at its newest.
func (e *engine) Get(ctx context.Context, key string) (store.Record, bool, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, false, err
	}
	release, err := e.use()
	if err != nil {
		return store.Record{}, false, err
	}
	defer release()
	versions := appendVersions(nil, key)
	bounds := &pebble.IterOptions{LowerBound: versions, UpperBound: after(versions)}
	it, rev, err := e.view(bounds, 0)
	if err != nil {
		return store.Record{}, false, err
	}
	defer it.Close()
	if !it.SeekGE(appendVersion(nil, key, rev)) {
		return store.Record{}, false, it.Error()
	}
	return recordAt(it)
}

// view is an iterator and the revision that it is to be read at, which is
// published and not compacted away. At zero means the newest.
func (e *engine) view(bounds *pebble.IterOptions, at store.Revision) (*pebble.Iterator, store.Revision, error) {
	for {
		rev := at
		newest := e.gate.Revision()
		if at == 0 {
			rev = newest
		} else if at > newest {
			return nil, 0, store.ErrFuture
		}
		it, err := e.db.NewIter(bounds)
		if err != nil {
			return nil, 0, err
		}
		// Compaction raises oldest before it deletes: what the iterator sees
		// is whole where oldest has not passed the revision by now.
		if rev >= e.Oldest() {
			return it, rev, nil
		}
		it.Close()
		if at != 0 {
			return nil, 0, store.ErrTooOld
		}
	}
}

// recordAt reads the version under the iterator; ok is false for a deletion.
func recordAt(it *pebble.Iterator) (rec store.Record, ok bool, err error) {
	key, rev, err := splitVersion(it.Key())
	if err != nil {
		return store.Record{}, false, err
	}
	stored, err := it.ValueAndErr()
	if err != nil {
		return store.Record{}, false, err
	}
	value, _, err := decodeVersion(stored)
	if err != nil || value == nil {
		return store.Record{}, false, err
	}
	value = append(make([]byte, 0, len(value)), value...)
	return store.Record{Key: string(key), Value: value, Modified: rev}, true, nil
}

// Scan reads a range of keys at one revision.
func (e *engine) Scan(ctx context.Context, page store.Page) (store.Scan, error) {
	release, err := e.use()
	if err != nil {
		return store.Scan{}, err
	}
	defer release()
	lower := append([]byte{tableData}, page.Prefix...)
	upper := after(lower)
	if page.After != "" {
		if behind := behindKey(page.After); bytes.Compare(behind, lower) > 0 {
			lower = behind
		}
	}
	if bytes.Compare(lower, upper) > 0 {
		lower = upper // nothing lies there, but the revision is checked
	}
	it, rev, err := e.view(&pebble.IterOptions{LowerBound: lower, UpperBound: upper}, page.At)
	if err != nil {
		return store.Scan{}, err
	}
	defer it.Close()
	out := store.Scan{Revision: rev}
	err = eachNewest(ctx, it, rev, func() (bool, error) {
		rec, ok, err := recordAt(it)
		if err != nil || !ok {
			return true, err
		}
		if page.Limit > 0 && len(out.Records) == page.Limit {
			out.More = true
			return false, nil
		}
		out.Records = append(out.Records, rec)
		return true, nil
	})
	if err != nil {
		return store.Scan{}, err
	}
	return out, nil
}

const (
	// nextsBeforeSeek versions are stepped over before it is worth a seek.
	nextsBeforeSeek = 4
	// checkEvery so many keys a long scan looks whether it is still wanted.
	checkEvery = 1024
)

// eachNewest stops at the newest version, as of rev, of each key in the
// iterator's bounds, until fn returns false.
func eachNewest(ctx context.Context, it *pebble.Iterator, rev store.Revision, fn func() (more bool, err error)) error {
	var current []byte // the key that was handled last
	var seek []byte
	steps, keys := 0, 0
	for ok := it.First(); ok; {
		key, version, err := splitVersion(it.Key())
		if err != nil {
			return err
		}
		switch done := current != nil && bytes.Equal(key, current); {
		case done && steps < nextsBeforeSeek, version > rev && steps < nextsBeforeSeek:
			steps++
			ok = it.Next()
		case done:
			steps = 0
			seek = append(append(append(seek[:0], tableData), key...), 1)
			ok = it.SeekGE(seek)
		case version > rev:
			steps = 0
			seek = appendVersion(seek[:0], string(key), rev)
			ok = it.SeekGE(seek)
		default:
			steps = 0
			current = append(current[:0], key...)
			if keys++; keys%checkEvery == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if more, err := fn(); err != nil || !more {
				return err
			}
			ok = it.Next()
		}
	}
	return it.Error()
}
