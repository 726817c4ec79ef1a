package snapshots

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Layers go from a disk on which nothing more can be made: that is when they have to.
func TestPruneOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "nr_inodes=8"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	s, err := Open(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; err == nil; i++ {
		err = os.Mkdir(filepath.Join(dir, fmt.Sprintf("%0*d", nameLen, i)), 0o700)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	remove, err := s.Prune(nil)
	if err := errors.Join(err, remove()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
}
