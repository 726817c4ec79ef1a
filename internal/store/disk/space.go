package disk

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/knarr-io/knarr/internal/store"
)

// ballastFile is given up when the disk is full.
const ballastFile = "BALLAST"

// space keeps writes away from a full disk. Under the floor only deletions
// are taken in, under half of it nothing is; the ballast is for the engine's
// background work, which cannot be refused.
type space struct {
	fs      vfs.FS
	dir     string
	floor   uint64
	ballast uint64
	log     *slog.Logger

	free   atomic.Uint64 // at the last look
	placed atomic.Bool   // the ballast lies on the disk
	never  atomic.Bool   // there can be no ballast here

	mu      sync.Mutex // held while the ballast is made or removed
	refused bool       // belongs to the writer: writes are being refused
}

func newSpace(fs vfs.FS, o Options, log *slog.Logger) *space {
	s := &space{fs: fs, dir: o.Dir, floor: o.FreeFloor, ballast: o.Ballast, log: log}
	s.never.Store(o.volatile())
	s.free.Store(^uint64(0))
	return s
}

// look asks the file system for its free space. File systems that do not
// tell are taken for endless.
func (s *space) look() {
	free := ^uint64(0)
	if usage, err := s.fs.GetDiskUsage(s.dir); err == nil {
		free = usage.AvailBytes
	}
	s.free.Store(free)
	switch short := free < s.floor; {
	case short && !s.refused:
		s.dropBallast()
		s.log.Error("the disk is nearly full: writes are refused until there is room", "directory", s.dir, "free", free, "floor", s.floor)
		s.refused = true
	case !short && s.refused:
		s.log.Info("there is room on the disk again: writes are accepted", "directory", s.dir, "free", free)
		s.refused = false
	}
}

// admit tells whether operations may be written now.
func (s *space) admit(ops []store.Op) error {
	free := s.free.Load()
	if free >= s.floor || free >= s.floor/2 && onlyDeletions(ops) {
		return nil
	}
	return fmt.Errorf("%d MiB are free in %s, %d MiB must be: %w", free>>20, s.dir, s.floor>>20, store.ErrNoSpace)
}

func onlyDeletions(ops []store.Op) bool {
	for _, op := range ops {
		if op.Value != nil {
			return false
		}
	}
	return true
}

// wantsBallast tells that the ballast is missing and there is room for it.
func (s *space) wantsBallast() bool {
	return !s.never.Load() && !s.placed.Load() && s.free.Load() >= s.floor+2*s.ballast
}

// makeBallast lays the ballast down where there is room for it.
func (s *space) makeBallast() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.never.Load() || s.placed.Load() {
		return
	}
	usage, err := s.fs.GetDiskUsage(s.dir)
	if err == nil && usage.AvailBytes < s.floor+2*s.ballast {
		return
	}
	if err == nil {
		err = s.layLocked()
	}
	if err != nil {
		s.never.Store(true)
		_ = s.fs.Remove(s.path())
		s.log.Info("the store goes without a ballast file", "directory", s.dir, "error", err)
		return
	}
	s.placed.Store(true)
}

// layLocked gives blocks to one from an earlier run, too: a copy of the
// directory has none of them, and a power cut may leave it without. It has them
// mostly, and then nothing happens.
func (s *space) layLocked() error {
	f, err := s.fs.OpenReadWrite(s.path(), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if err := f.Preallocate(0, int64(s.ballast)); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func (s *space) path() string { return s.fs.PathJoin(s.dir, ballastFile) }

// dropBallast frees the ballast's blocks. Pebble's file system calls it when
// a write met a full disk, and tries that write once more.
func (s *space) dropBallast() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fs.Remove(s.path()); err == nil {
		s.log.Warn("the disk is full: gave up the ballast", "directory", s.dir)
	}
	s.placed.Store(false)
}
