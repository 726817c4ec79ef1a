package disk

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options of an engine. Dir is all that a durable store needs.
type Options struct {
	// Dir is the engine's own directory; it is made where it is missing.
	Dir string
	// InMemory keeps everything in memory, and nothing after Close.
	InMemory bool
	// FS is the file system below; nil is the machine's. Tests break it.
	FS vfs.FS
	// Logger is told of trouble; nil: nobody is.
	Logger *slog.Logger

	// Keep and KeepChanges bound the history: states older than Keep are
	// compacted, and those that lie more than KeepChanges revisions back.
	// Zero: 5 minutes, 100,000 changes. Negative: no automatic compaction by
	// that measure.
	Keep        time.Duration
	KeepChanges int

	// MaxValue bounds one value and MaxCommit the values of one commit, in
	// bytes. Zero: 1.5 MiB and 16 MiB.
	MaxValue, MaxCommit int

	// FreeFloor is the free space in bytes below which writes are refused;
	// zero: 64 MiB. Ballast is the size of a file that is given up when the
	// disk runs full all the same, so that background work can finish; zero:
	// 32 MiB.
	FreeFloor, Ballast uint64

	// CacheSize and MemTableSize, in bytes, are Pebble's; zero: 8 and 4 MiB.
	CacheSize    int64
	MemTableSize uint64

	// OnFailure is called once, on a goroutine of its own, when the store
	// failed for good: it must be closed and opened again.
	OnFailure func(error)

	heads int // keys in the writer's memory; tests make it forget
}

func (o Options) withDefaults() Options {
	if o.InMemory {
		o.Dir = "store"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Keep = cmp.Or(o.Keep, 5*time.Minute)
	o.KeepChanges = cmp.Or(o.KeepChanges, 100_000)
	o.MaxValue = cmp.Or(o.MaxValue, 3<<19)
	o.MaxCommit = cmp.Or(o.MaxCommit, 16<<20)
	o.FreeFloor = cmp.Or(o.FreeFloor, 64<<20)
	o.Ballast = cmp.Or(o.Ballast, 32<<20)
	o.CacheSize = cmp.Or(o.CacheSize, 8<<20)
	o.MemTableSize = cmp.Or(o.MemTableSize, 4<<20)
	o.heads = cmp.Or(o.heads, mostHeads)
	return o
}
