// Package store is the contract of Knarr's storage engines: versioned bytes
// under keys, in one total order of revisions.
//
// Engines live in sub-packages (disk on Pebble; its in-memory file system is
// the engine of tests) and pass the suite in storetest. The object cache
// (package cache) is the only reader and writer above an engine; nobody else
// in the process opens one.
//
// Invariants of every engine:
//
//   - every key that a commit writes or deletes gets a revision of its own;
//     revisions are dense, start at 1 and never go down;
//   - a commit is atomic and durable before it returns, and its keys take
//     consecutive revisions in the order of its operations;
//   - a watch sees every change after its start revision once, in order,
//     or ends with ErrTooOld; it never skips.
package store

import (
	"context"
	"errors"
	"io"
	"time"
)

// Revision is a point in the total order of changes. Zero means "before the
// first change", or "now" where a request allows it.
type Revision uint64

// Record is one key as it stood at a revision.
type Record struct {
	Key   string
	Value []byte // not to be changed by anyone
	// Modified is the revision of the change that wrote Value.
	Modified Revision
}

// Expect guards an operation by what its key must be at commit time.
type Expect struct {
	kind expectKind
	rev  Revision
}

type expectKind uint8

const (
	expectAnything expectKind = iota
	expectAbsent
	expectModified
)

// Anything commits whatever the key holds.
func Anything() Expect { return Expect{} }

// Absent commits only where the key does not exist.
func Absent() Expect { return Expect{kind: expectAbsent} }

// AbsentAt is Absent for a key of which the caller knows that it did not exist
// at a revision: an engine that remembers what was written since then need not
// look for it.
func AbsentAt(rev Revision) Expect { return Expect{kind: expectAbsent, rev: rev} }

// Absence tells whether the guard is Absent, and up to which revision the key
// is known not to exist.
func (e Expect) Absence() (upTo Revision, ok bool) { return e.rev, e.kind == expectAbsent }

// ModifiedAt commits only where the key exists and was last written at rev.
func ModifiedAt(rev Revision) Expect { return Expect{kind: expectModified, rev: rev} }

// Holds tells whether a key in the given state satisfies the guard. modified
// is zero where the key does not exist.
func (e Expect) Holds(modified Revision) bool {
	switch e.kind {
	case expectAbsent:
		return modified == 0
	case expectModified:
		return modified == e.rev && modified != 0
	default:
		return true
	}
}

// Op is one change of a commit. A nil Value deletes the key; deleting a key
// that does not exist is a failed guard, whatever Expect says.
type Op struct {
	Key    string
	Value  []byte
	Expect Expect
	// TTL expires the key so long after the commit; zero keeps it. An expiry
	// is an ordinary deletion with a revision of its own.
	TTL time.Duration
	// Note travels with the change to the watchers of the same process and is
	// never stored: the object cache hands its decoded object through it. An
	// engine whose changes arrive from elsewhere leaves it nil.
	Note any
}

// Change is one committed operation as watchers see it.
type Change struct {
	Key      string
	Value    []byte // nil: deleted
	Revision Revision
	Note     any
}

// Deleted tells whether the change removed its key.
func (c Change) Deleted() bool { return c.Value == nil }

// Page bounds a scan.
type Page struct {
	// Prefix selects keys; the empty prefix selects all.
	Prefix string
	// After continues behind this key; empty starts at the first.
	After string
	// Limit bounds the records; zero reads all.
	Limit int
	// At reads the state as of this revision; zero reads the newest.
	At Revision
}

// Scan is what a scan read.
type Scan struct {
	Records []Record // ordered by key
	// Revision is the state that was read: Page.At, or the newest.
	Revision Revision
	// More tells that the limit cut the scan short.
	More bool
}

// Watch yields changes in order of revision.
type Watch interface {
	// Next blocks for at least one change and returns all that are ready, up
	// to a bound of the engine's. It returns ErrTooOld when the watch fell
	// behind what the engine keeps, ErrClosed when the engine closed, and
	// ctx's error. Only one goroutine may call it. The slice is the caller's.
	Next(ctx context.Context) ([]Change, error)
	// Stop frees the watch; it may be called more than once.
	Stop()
}

// Store is a storage engine. All methods may be called concurrently. After
// Close every method returns ErrClosed.
type Store interface {
	// Commit applies all operations or none and returns the revision of the
	// last of them. It fails with ErrConflict (a *ConflictError names the
	// key) when a guard does not hold, ErrTooLarge for oversized values,
	// ErrNoSpace when the engine refuses writes for want of disk; after any
	// error of these nothing was written. Changes are visible to Get, Scan
	// and watchers before Commit returns. The operations of one commit name
	// different keys. Commit does not hold on to ops, but to their values.
	Commit(ctx context.Context, ops []Op) (Revision, error)
	// Get reads one key at its newest; ok is false where it does not exist.
	Get(ctx context.Context, key string) (rec Record, ok bool, err error)
	// Scan reads a range of keys at one revision: ErrTooOld when that was
	// compacted away, ErrFuture when it has not happened yet.
	Scan(ctx context.Context, page Page) (Scan, error)
	// Revision is the newest committed revision.
	Revision() Revision
	// Oldest is the oldest revision whose state is still kept: a scan at it
	// and a watch after it work. It only goes up.
	Oldest() Revision
	// WaitFor blocks until the newest revision visible here is at least rev.
	WaitFor(ctx context.Context, rev Revision) error
	// Watch yields every change of keys with the prefix after the revision.
	Watch(ctx context.Context, prefix string, after Revision) (Watch, error)
	// Compact forgets states older than rev: scans and watches from before
	// it answer ErrTooOld. The newest state of a key is never forgotten.
	Compact(ctx context.Context, rev Revision) error
	// Snapshot writes a consistent copy that Restore of any engine can read;
	// it returns the revision that the copy holds.
	Snapshot(ctx context.Context, w io.Writer) (Revision, error)
	// Close waits for commits under way and releases everything.
	Close() error
}

var (
	// ErrConflict: a guard did not hold.
	ErrConflict = errors.New("the key is not in the expected state")
	// ErrTooOld: the revision was compacted, or a watch fell behind.
	ErrTooOld = errors.New("the revision is no longer kept")
	// ErrFuture: the revision has not been reached.
	ErrFuture = errors.New("the revision has not been reached")
	// ErrTooLarge: a value or a commit is over the engine's bound.
	ErrTooLarge = errors.New("the value is too large to be stored")
	// ErrNoSpace: the disk is too full for writes; reads go on.
	ErrNoSpace = errors.New("no space is left for writes")
	// ErrClosed: the engine was closed.
	ErrClosed = errors.New("the store is closed")
	// ErrNewerFormat: the data was written by a newer Knarr.
	ErrNewerFormat = errors.New("the data directory was written by a newer version")
	// ErrLocked: another process has the data directory open.
	ErrLocked = errors.New("the data directory is in use by another process")
)

// ConflictError names the key whose guard failed. It matches ErrConflict.
type ConflictError struct {
	Key string
	// Modified is the key's revision at the time; zero: it did not exist.
	Modified Revision
}

func (e *ConflictError) Error() string { return e.Key + ": " + ErrConflict.Error() }

// Is makes errors.Is(err, ErrConflict) hold.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }
