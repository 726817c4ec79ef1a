package loopfs_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/node/volumes/loopfs"
)

const mib = 1 << 20

// mounted is a file system of 32 MiB with its mount.
func mounted(t *testing.T) (file, dir string) {
	t.Helper()
	file, dir = filepath.Join(t.TempDir(), "fs"), t.TempDir()
	if err := loopfs.Make(t.Context(), file, 32*mib); err != nil {
		t.Fatal(err)
	}
	mount(t, file, dir)
	return file, dir
}

func mount(t *testing.T, file, dir string) {
	t.Helper()
	if err := loopfs.Mount(file, dir, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

// fill writes until the disk is full, and tells how much went in.
func fill(t *testing.T, path string) int {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	written := 0
	for chunk := make([]byte, 64<<10); written < 128*mib; {
		n, err := f.Write(chunk)
		written += n
		if errors.Is(err, unix.ENOSPC) {
			return written
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the size is no limit")
	return 0
}

func TestSizeIsALimit(t *testing.T) {
	file, dir := mounted(t)
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("the root is %v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("a new volume holds %v, %v", entries, err)
	}
	if n := fill(t, filepath.Join(dir, "much")); n < 24*mib || n > 32*mib {
		t.Errorf("%d bytes went into 32 MiB", n)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	if err := loopfs.Make(t.Context(), file, 32*mib); err != nil { // it is there
		t.Fatal(err)
	}
	mount(t, file, dir)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the pods' mode of the root is lost: %v, %v", info.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(dir, "much")); err != nil {
		t.Error(err)
	}
}

// What is mounted grows where the process may do that, and else says why not.
func TestGrow(t *testing.T) {
	file, dir := mounted(t)
	if err := loopfs.Grow(file, dir, 32*mib); err != nil {
		t.Errorf("it has that size: %v", err)
	}
	before := fill(t, filepath.Join(dir, "much"))
	err := loopfs.Grow(file, dir, 64*mib)
	if !mayGrow(t) {
		if !errors.Is(err, loopfs.ErrNotGrown) {
			t.Errorf("grown without being allowed to: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if more := fill(t, filepath.Join(dir, "more")); before+more < 48*mib {
		t.Errorf("%d bytes went into 64 MiB", before+more)
	}
	if err := loopfs.Grow(file, dir, 64*mib); err != nil {
		t.Error(err)
	}
}

func mayGrow(t *testing.T) bool {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	return data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}
