package reaper

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keep/wire"
)

// A log is there on a disk that has no room left, and written when it has.
func TestTheLogBeginsOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("small", dir, "tmpfs", 0, "size=8k"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	before, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := before.Append(wire.Exit{PID: 1}); err != nil {
		t.Fatal(err)
	}
	before.file.Close()
	if err := os.WriteFile(filepath.Join(dir, "other"), make([]byte, 8<<10), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Append(wire.Exit{PID: 2}); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a record on a full disk: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(wire.Exit{PID: 3}); err != nil {
		t.Fatal(err)
	}
	l.file.Close()
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.file.Close()
	if got := again.Since(0); len(got) != 3 || got[2].PID != 3 {
		t.Errorf("records %v", got)
	}
}

// A record that a full disk took half of spoils none that follows, and is written
// when there is room again.
func TestHalfARecordSpoilsNoOther(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("small", dir, "tmpfs", 0, "size=4k"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { l.file.Close() }()
	pid := 1
	for ; err == nil; pid++ {
		err = l.Append(wire.Exit{PID: pid})
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	if err := unix.Mount("small", dir, "tmpfs", unix.MS_REMOUNT, "size=64k"); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(wire.Exit{PID: pid}); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.file.Close()
	if got := again.Since(0); len(got) != pid || got[pid-1].PID != pid {
		t.Errorf("%d records of %d are there", len(got), pid)
	}
}
