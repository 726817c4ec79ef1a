package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/progress"
)

// engine is the store. Its database is written by the writer goroutine
// (versions, log, expiry, marks) and by compaction (deletions only).
type engine struct {
	options Options
	log     *slog.Logger
	db      *pebble.DB
	lock    *pebble.Lock
	space   *space
	sync    *pebble.WriteOptions

	gate    progress.Gate // newest published revision
	hub     hub
	queue   queue
	marks   marks
	oldest  atomic.Uint64 // compacted up to here
	compact sync.Mutex    // held by the one compaction at a time

	closing chan struct{} // closed first: ends the goroutines
	running sync.WaitGroup
	kick    chan struct{} // wakes the janitor
	timed   atomic.Bool   // the janitor's timer is set
	failure failure

	users struct {
		sync.RWMutex
		closed bool
	}
}

// failure is the error that ended the store, if any.
type failure struct {
	once sync.Once
	done chan struct{} // closed when failed
	err  error         // readable once done is closed
}

// Open opens or makes the store in options.Dir. It fails with
// store.ErrLocked, store.ErrNewerFormat, or the file system's errors.
func Open(ctx context.Context, options Options) (store.Store, error) {
	return open(ctx, options)
}

func open(ctx context.Context, options Options) (*engine, error) {
	e, err := openStill(ctx, options)
	if err != nil {
		return nil, err
	}
	w := newWriter(e)
	e.running.Go(w.run)
	e.running.Go(e.runJanitor)
	return e, nil
}

// openStill opens an engine of which no part runs yet: nothing expires, and
// nothing is committed.
func openStill(ctx context.Context, options Options) (*engine, error) {
	o := options.withDefaults()
	if o.Dir == "" {
		return nil, errors.New("opening the store: no directory is given")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	base := o.FS
	switch {
	case base == nil && o.InMemory:
		base = vfs.NewMem()
	case base == nil:
		base = vfs.Default
	}
	e := &engine{
		options: o, log: o.Logger, sync: pebble.Sync,
		closing: make(chan struct{}), kick: make(chan struct{}, 1),
		failure: failure{done: make(chan struct{})},
	}
	if o.volatile() {
		e.sync = pebble.NoSync
	}
	e.queue.init()
	e.hub.init()
	e.space = newSpace(base, o, e.log)
	if err := e.openDatabase(base); err != nil {
		return nil, fmt.Errorf("opening the store in %s: %w", o.Dir, err)
	}
	return e, nil
}

func (e *engine) openDatabase(base vfs.FS) (err error) {
	dir := e.options.Dir
	if err := base.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if base == vfs.Default {
		// Pebble's files are readable by all: an older directory may be too.
		if err := os.Chmod(dir, 0o700); err != nil {
			return err
		}
	}
	if e.lock, err = lockDirectory(base, dir); err != nil {
		return err
	}
	fs := &logFS{FS: vfs.OnDiskFull(base, e.space.dropBallast), fail: e.fail}
	e.db, err = pebble.Open(dir, pebbleOptions(e.options, fs, e.lock, pebbleLog{e.log, e.fail}))
	if err != nil {
		e.lock.Close()
		return classifyOpen(err)
	}
	if err := e.loadState(); err != nil {
		e.db.Close()
		e.lock.Close()
		return err
	}
	fs.open.Store(true)
	return nil
}

// loadState reads what the engine keeps in memory.
func (e *engine) loadState() error {
	if err := e.checkFormat(); err != nil {
		return err
	}
	oldest, err := e.readNumber(metaCompacted)
	if err != nil {
		return err
	}
	newest, err := e.lastLogged()
	if err != nil {
		return err
	}
	newest = max(newest, store.Revision(oldest))
	e.oldest.Store(oldest)
	e.gate.Advance(newest)
	e.hub.start(newest)
	return e.marks.load(e.db, newest, time.Now())
}

func (e *engine) lastLogged() (store.Revision, error) {
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableLog}, UpperBound: []byte{tableLog + 1}})
	if err != nil {
		return 0, err
	}
	defer it.Close()
	if !it.Last() {
		return 0, it.Error()
	}
	n, _, err := splitNumber(it.Key())
	return store.Revision(n), err
}

// Revision is the newest committed revision.
func (e *engine) Revision() store.Revision { return e.gate.Revision() }

// Oldest is the oldest revision that can be scanned.
func (e *engine) Oldest() store.Revision { return store.Revision(e.oldest.Load()) }

// WaitFor blocks until the revision is committed.
func (e *engine) WaitFor(ctx context.Context, rev store.Revision) error {
	return e.gate.WaitFor(ctx, rev)
}

// use keeps the database open until the function that it returns is called.
func (e *engine) use() (release func(), err error) {
	e.users.RLock()
	if e.users.closed {
		e.users.RUnlock()
		return nil, store.ErrClosed
	}
	select {
	case <-e.failure.done:
		e.users.RUnlock()
		return nil, e.failure.err
	default:
	}
	return e.users.RUnlock, nil
}

// fail ends the store: nothing that it said is taken back, and nothing more
// is accepted.
func (e *engine) fail(err error) {
	e.failure.once.Do(func() {
		e.failure.err = fmt.Errorf("the store failed and must be opened again: %w", err)
		close(e.failure.done)
		e.log.Error("the store failed", "error", err)
		e.hub.close(e.failure.err)
		e.gate.Close(e.failure.err)
		if e.options.OnFailure != nil {
			go e.options.OnFailure(e.failure.err)
		}
	})
}

// abandonWait bounds the closing of a database that failed: its locks may be
// held by a commit that will never end.
const abandonWait = time.Second / 10

// Close ends the store. Commits under way finish first.
func (e *engine) Close() error {
	if !e.queue.close() {
		return nil
	}
	close(e.closing)
	e.hub.close(store.ErrClosed)
	e.gate.Close(store.ErrClosed)
	done := make(chan error, 1)
	go func() { done <- e.closeDatabase() }()
	select {
	case err := <-done:
		return errors.Join(err, e.lock.Close())
	case <-e.failure.done: // before, or by what closing writes
	}
	// What counts is on disk already.
	timer := time.NewTimer(abandonWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	return e.lock.Close()
}

// closeDatabase may never return where the store has failed.
func (e *engine) closeDatabase() (err error) {
	defer func() {
		if r := recover(); r != nil { // Pebble panics where it is half broken
			err = fmt.Errorf("closing the database: %v", r)
		}
	}()
	e.running.Wait()
	e.users.Lock()
	e.users.closed = true
	e.users.Unlock()
	return e.db.Close()
}
