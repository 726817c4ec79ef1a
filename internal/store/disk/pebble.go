package disk

import (
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// pebbleOptions are for a small store on a small machine: little memory, one
// background compaction at a time, nothing that runs while idle.
func pebbleOptions(o Options, fs vfs.FS, lock *pebble.Lock, log pebble.Logger) *pebble.Options {
	out := &pebble.Options{
		FS:                          fs,
		Lock:                        lock,
		Logger:                      log,
		FormatMajorVersion:          pebble.FormatNewest,
		CacheSize:                   o.CacheSize,
		MemTableSize:                o.MemTableSize,
		MemTableStopWritesThreshold: 3,
		// Reads are rare, the cache above answers them: what was written may lie
		// in more layers before it is merged with all that there is.
		L0CompactionThreshold:      12,
		L0StopWritesThreshold:      48,
		MaxOpenFiles:               64,
		DisableWAL:                 o.volatile(),
		CompactionConcurrencyRange: func() (lower, upper int) { return 1, 1 },
	}
	// The usual scheduler looks ten times a second whether it may allow more
	// compactions. Ours never may: one at a time, and the next when it ends.
	out.Experimental.CompactionScheduler = pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()
	// Reads must not cause background work.
	out.Experimental.ReadSamplingMultiplier = -1
	return out
}

// volatile stores need no write-ahead log: nothing of them outlives Close.
func (o Options) volatile() bool { return o.InMemory && o.FS == nil }

// commitFailed is how Pebble tells of a failed commit, on the goroutine that
// commits and with no lock held.
const commitFailed = "pebble: fatal commit error: %v"

// pebbleLog brings Pebble's messages into ours. Pebble calls Fatalf where it
// cannot go on, expecting the process to end: the store fails instead. Where
// that happens in the middle of background work, the goroutine must not come
// back to it, nor give up its locks: it would go on with a state of files that
// is not the disk's. It stays there for the rest of the process, which has
// Options.OnFailure to end soon.
type pebbleLog struct {
	log  *slog.Logger
	fail func(error)
}

func (pebbleLog) Infof(string, ...any) {}

func (l pebbleLog) Errorf(format string, args ...any) {
	l.log.Warn("storage engine", "message", fmt.Sprintf(format, args...))
}

func (l pebbleLog) Fatalf(format string, args ...any) {
	l.fail(fmt.Errorf(format, args...))
	if format != commitFailed {
		select {}
	}
}
