package disk

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

func setKey(key, value string) []store.Op { return []store.Op{{Key: key, Value: []byte(value)}} }

func mustCommit(t testing.TB, s store.Store, ops []store.Op) store.Revision {
	t.Helper()
	rev, err := s.Commit(t.Context(), ops)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return rev
}

// onWAL injects an error into some operations on the write-ahead log.
func onWAL(err error, kinds ...errorfs.OpKind) errorfs.Injector {
	return errorfs.InjectorFunc(func(op errorfs.Op) error {
		for _, k := range kinds {
			if op.Kind == k && filepath.Ext(op.Path) == ".log" {
				return err
			}
		}
		return nil
	})
}

func TestAFailedCommitFailsTheStore(t *testing.T) {
	broken := errors.New("the disk is broken")
	for name, kinds := range map[string][]errorfs.OpKind{
		"sync":  {errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo},
		"write": {errorfs.OpFileWrite},
		"both":  {errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData},
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewCrashableMem()
			toggle := &errorfs.Toggle{Injector: onWAL(broken, kinds...)}
			told := make(chan error, 2)
			e := openTest(t, Options{Dir: "store", FS: errorfs.Wrap(disk, toggle), OnFailure: func(err error) { told <- err }})
			rev := mustCommit(t, e, setKey("/kept", "1"))
			w, err := e.Watch(t.Context(), "/", rev)
			if err != nil {
				t.Fatal(err)
			}
			toggle.On()
			if _, err := e.Commit(t.Context(), setKey("/lost", "1")); err == nil {
				t.Fatal("a commit that was not written was acknowledged")
			}
			if err := <-told; err == nil {
				t.Error("OnFailure got no error")
			}
			_, nextErr := w.Next(t.Context())
			_, commitErr := e.Commit(t.Context(), setKey("/more", "1"))
			_, _, getErr := e.Get(t.Context(), "/kept")
			for name, err := range map[string]error{"Next": nextErr, "Commit": commitErr, "Get": getErr, "WaitFor": e.WaitFor(t.Context(), rev+1)} {
				if err == nil || errors.Is(err, store.ErrClosed) {
					t.Errorf("%s after the failure: %v, want the failure", name, err)
				}
			}
			toggle.Off()
			_ = e.Close() // its errors are the failure's
			again := openTest(t, Options{Dir: "store", FS: disk.CrashClone(vfs.CrashCloneCfg{})})
			if rec, ok, err := again.Get(t.Context(), "/kept"); err != nil || !ok || string(rec.Value) != "1" {
				t.Errorf("after opening again: %+v, %v, %v", rec, ok, err)
			}
		})
	}
}

// A disk that breaks while the store is closed does not hold up who closes it.
func TestCloseEndsWhereTheDiskBreaks(t *testing.T) {
	broken := errors.New("the disk is broken")
	for name, kinds := range map[string][]errorfs.OpKind{
		"sync":  {errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo},
		"write": {errorfs.OpFileWrite},
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewCrashableMem()
			toggle := &errorfs.Toggle{Injector: onWAL(broken, kinds...)}
			told := make(chan error, 1)
			e := openTest(t, Options{Dir: "store", FS: errorfs.Wrap(disk, toggle), OnFailure: func(err error) { told <- err }})
			mustCommit(t, e, setKey("/kept", "1"))
			toggle.On()
			if err := e.Close(); err != nil {
				t.Error(err)
			}
			<-told
			toggle.Off()
			again := openTest(t, Options{Dir: "store", FS: disk.CrashClone(vfs.CrashCloneCfg{})})
			if rec, ok, err := again.Get(t.Context(), "/kept"); err != nil || !ok || string(rec.Value) != "1" {
				t.Errorf("after opening again: %+v, %v, %v", rec, ok, err)
			}
		})
	}
}

// A guard that fails for a write of the same batch is answered when that write
// is durable, and not as a conflict where it never is.
func TestAConflictIsWithAWriteThatHappened(t *testing.T) {
	for name, fails := range map[string]bool{"the write is durable": false, "the write is lost": true} {
		t.Run(name, func(t *testing.T) {
			reached, release := make(chan struct{}), make(chan struct{})
			var syncs atomic.Int32
			toggle := &errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
				if filepath.Ext(op.Path) != ".log" || op.Kind != errorfs.OpFileSync && op.Kind != errorfs.OpFileSyncData && op.Kind != errorfs.OpFileSyncTo {
					return nil
				}
				if syncs.Add(1) == 1 {
					close(reached)
					<-release
				} else if fails {
					return errors.New("the disk is broken")
				}
				return nil
			})}
			e := openTest(t, Options{Dir: "store", FS: errorfs.Wrap(vfs.NewCrashableMem(), toggle)})
			guard := store.ModifiedAt(mustCommit(t, e, setKey("/key", "1")))
			toggle.On()
			other := &request{ops: setKey("/other", "1"), done: make(chan struct{})}
			deletion := &request{ops: []store.Op{{Key: "/key", Expect: guard}}, done: make(chan struct{})}
			update := &request{ops: []store.Op{{Key: "/key", Value: []byte("2"), Expect: guard}}, done: make(chan struct{})}
			for _, r := range []*request{other, deletion, update} {
				if err := e.queue.push(r); err != nil {
					t.Fatal(err)
				}
				if r == other {
					<-reached // the next two become one batch
				}
			}
			close(release)
			if fails {
				<-e.failure.done
				select {
				case <-update.done:
					t.Errorf("the update got %v", update.result.err)
				default: // Commit answers with the failure
				}
				toggle.Off()
				return
			}
			<-update.done
			if err := update.result.err; !errors.Is(err, store.ErrConflict) || e.Revision() != 3 {
				t.Errorf("the update got %v at revision %d, the deletion has 3", err, e.Revision())
			}
		})
	}
}

// TestRandomDiskErrors: whatever fails, and wherever, nothing acknowledged is
// lost and nothing hangs.
func TestRandomDiskErrors(t *testing.T) {
	for seed := range int64(10) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			disk := vfs.NewCrashableMem()
			injector := errorfs.ErrInjected.If(errorfs.And(errorfs.Writes, errorfs.Randomly(0.002, seed)))
			toggle := &errorfs.Toggle{Injector: injector}
			e := openTest(t, Options{Dir: "store", FS: errorfs.Wrap(disk, toggle), MemTableSize: 64 << 10, KeepChanges: 200})
			toggle.On()
			ctx, cancel := context.WithCancel(t.Context())
			failed := make(chan struct{})
			log := newTally()
			go func() {
				defer close(failed)
				log.work(ctx, e, "w", uint64(seed))
			}()
			for e.Revision() < 2000 {
				if e.WaitFor(ctx, e.Revision()+1) != nil {
					break
				}
			}
			cancel()
			<-failed
			acked := log.acknowledged()
			toggle.Off()
			_ = e.Close() // it may have failed: that is the test
			again := openTest(t, Options{Dir: "store", FS: disk.CrashClone(vfs.CrashCloneCfg{}), Keep: -1, KeepChanges: -1})
			log.verify(t, again, acked)
		})
	}
}

func TestBallastIsGivenUpWhenTheDiskIsFull(t *testing.T) {
	disk := vfs.NewMem()
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 41})
	ballast := disk.PathJoin("store", ballastFile)
	full := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind != errorfs.OpFileWrite || filepath.Ext(op.Path) != ".log" {
			return nil
		}
		if _, err := disk.Stat(ballast); err == nil {
			return syscall.ENOSPC // until the ballast is gone
		}
		return nil
	})
	toggle := &errorfs.Toggle{Injector: full}
	e := openTest(t, Options{Dir: "store", FS: errorfs.Wrap(disk, toggle)})
	await.Until(t, time.Minute, "the ballast is laid down", func() bool { _, err := disk.Stat(ballast); return err == nil })
	toggle.On()
	mustCommit(t, e, setKey("/a", "1"))
	toggle.Off()
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 30, TotalBytes: 1 << 41})
	mustCommit(t, e, setKey("/a", "2"))
	await.Until(t, time.Minute, "the ballast is back", func() bool { _, err := disk.Stat(ballast); return err == nil })
}

// A ballast without blocks, as a copy of the directory has it, gets them.
func TestAnEmptyBallastIsFilled(t *testing.T) {
	disk := vfs.NewMem()
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 41})
	e := openTest(t, Options{Dir: "store", FS: disk, FreeFloor: 1 << 50}) // lays none
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := disk.Create(disk.PathJoin("store", ballastFile), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	filled := make(chan struct{})
	e = openTest(t, Options{Dir: "store", FS: errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFilePreallocate && filepath.Base(op.Path) == ballastFile {
			close(filled)
		}
		return nil
	}))})
	await.Until(t, time.Minute, "the ballast is there", e.space.placed.Load)
	select {
	case <-filled:
	default:
		t.Error("the ballast has no blocks")
	}
}

func TestWritesStopBeforeTheDiskIsFull(t *testing.T) {
	const floor = 100 << 20
	disk := vfs.NewMem()
	free := func(n uint64) { disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: n, TotalBytes: 1 << 40}) }
	free(1 << 40)
	e := openTest(t, Options{Dir: "store", FS: disk, FreeFloor: floor})
	rev := mustCommit(t, e, setKey("/a", "1"))
	for _, c := range []struct {
		free           uint64
		write, removal error
	}{
		{free: floor - 1, write: store.ErrNoSpace},
		{free: floor / 4, write: store.ErrNoSpace, removal: store.ErrNoSpace},
		{free: floor},
	} {
		free(c.free)
		if _, err := e.Commit(t.Context(), setKey("/b", "1")); !errors.Is(err, c.write) {
			t.Errorf("with %d free, a write gives %v, want %v", c.free, err, c.write)
		}
		if _, err := e.Commit(t.Context(), []store.Op{{Key: "/a", Expect: store.ModifiedAt(rev)}}); !errors.Is(err, c.removal) {
			t.Errorf("with %d free, a deletion gives %v, want %v", c.free, err, c.removal)
		}
		if _, err := e.Scan(t.Context(), store.Page{}); err != nil {
			t.Errorf("with %d free, a read gives %v", c.free, err)
		}
		free(1 << 40)
		rev = mustCommit(t, e, setKey("/a", "again"))
	}
}
