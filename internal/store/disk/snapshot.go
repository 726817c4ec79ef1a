package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/snapfile"
)

// Snapshot writes the newest state in the format of package snapfile.
func (e *engine) Snapshot(ctx context.Context, w io.Writer) (store.Revision, error) {
	release, err := e.use()
	if err != nil {
		return 0, err
	}
	defer release()
	it, rev, err := e.view(&pebble.IterOptions{LowerBound: []byte{tableData}, UpperBound: []byte{tableData + 1}}, 0)
	if err != nil {
		return 0, err
	}
	defer it.Close()
	out, err := snapfile.NewWriter(w, rev, time.Now())
	if err != nil {
		return 0, err
	}
	err = eachNewest(ctx, it, rev, func() (bool, error) {
		rec, ok, err := recordAt(it)
		if err != nil || !ok {
			return true, err
		}
		expiry, err := expiryAt(it)
		if err != nil {
			return false, err
		}
		return true, out.Write(snapfile.Record{Record: rec, Expiry: expiry})
	})
	if err != nil {
		return 0, err
	}
	return rev, out.Close()
}

func expiryAt(it *pebble.Iterator) (time.Time, error) {
	stored, err := it.ValueAndErr()
	if err != nil {
		return time.Time{}, err
	}
	_, expiry, err := decodeVersion(stored)
	if err != nil || expiry == 0 {
		return time.Time{}, err
	}
	return time.Unix(0, int64(expiry)), nil
}

// restoreBytes is where one batch of a restore ends.
const restoreBytes = 1 << 20

// Restore makes a store in options.Dir, which must not exist, from a snapshot;
// it returns the snapshot's revision, from which the store goes on. Either the
// whole store is there afterwards, or no directory. It fails with
// snapfile.ErrCorrupt for a damaged snapshot.
func Restore(ctx context.Context, options Options, r io.Reader) (store.Revision, error) {
	if options.InMemory || options.Dir == "" {
		return 0, errors.New("restoring a store needs a directory")
	}
	fs := options.FS
	if fs == nil {
		fs = vfs.Default
	}
	if _, err := fs.Stat(options.Dir); err == nil {
		return 0, fmt.Errorf("restoring to %s: the directory exists; move it away first", options.Dir)
	}
	beside := options
	beside.Dir += ".restoring"
	if err := fs.RemoveAll(beside.Dir); err != nil {
		return 0, err
	}
	rev, err := restoreInto(ctx, beside, r)
	if err != nil {
		_ = fs.RemoveAll(beside.Dir)
		return 0, fmt.Errorf("restoring to %s: %w", options.Dir, err)
	}
	if err := fs.Rename(beside.Dir, options.Dir); err != nil {
		return 0, err
	}
	return rev, syncDir(fs, fs.PathDir(options.Dir))
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func restoreInto(ctx context.Context, options Options, r io.Reader) (rev store.Revision, err error) {
	in, err := snapfile.NewReader(r)
	if err != nil {
		return 0, err
	}
	e, err := openStill(ctx, options)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if err := e.restoreRecords(ctx, in); err != nil {
		return 0, err
	}
	// The state begins at the snapshot: nothing from before can be read. The
	// synced batch makes all that went before it durable too.
	b := e.db.NewBatch()
	defer b.Close()
	n := binary.BigEndian.AppendUint64(nil, uint64(in.Revision))
	if err := b.Set(metaKey(metaCompacted), n, nil); err != nil {
		return 0, err
	}
	return in.Revision, e.apply(b, e.sync)
}

func (e *engine) restoreRecords(ctx context.Context, in *snapfile.Reader) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		done, err := e.restoreSome(in)
		if err != nil || done {
			return err
		}
	}
}

// restoreSome writes one batch; done tells that the snapshot has ended.
func (e *engine) restoreSome(in *snapfile.Reader) (done bool, err error) {
	b := e.db.NewBatch()
	defer b.Close()
	for b.Len() < restoreBytes && !done {
		rec, err := in.Next()
		if errors.Is(err, io.EOF) {
			done = true
			break
		}
		if err != nil {
			return false, err
		}
		if err := putRestored(b, rec); err != nil {
			return false, err
		}
	}
	return done, e.apply(b, pebble.NoSync)
}

func putRestored(b *pebble.Batch, rec snapfile.Record) error {
	if err := checkKey(rec.Key); err != nil {
		return fmt.Errorf("%w: %w", snapfile.ErrCorrupt, err)
	}
	var expiry uint64
	if !rec.Expiry.IsZero() {
		expiry = uint64(rec.Expiry.UnixNano())
		rev := binary.BigEndian.AppendUint64(nil, uint64(rec.Modified))
		if err := b.Set(expiryKey(expiry, rec.Key), rev, nil); err != nil {
			return err
		}
	}
	value := rec.Value
	if value == nil {
		value = []byte{}
	}
	return b.Set(appendVersion(nil, rec.Key, rec.Modified), encodeVersion(value, expiry), nil)
}
