package image

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A layer that cannot be deleted to its end, here for a mount in it, is nobody's
// layer any more: the same image comes in whole the next time.
func TestHalfDeletedLayerIsNoLayer(t *testing.T) {
	s := open(t, t.TempDir())
	archive := dockerSave(t, "half:1", tarOf(t, tar.Header{Name: "a", Uname: "a"},
		tar.Header{Name: "b/", Typeflag: tar.TypeDir, Mode: 0o755}, tar.Header{Name: "b/c", Uname: "c"}))
	lower, err := s.Lower(load(t, s, archive).ChainIDs())
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("held", filepath.Join(lower[0], "b"), "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(filepath.Join(lower[0], "b"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		where := mountOf(t, held)
		held.Close()
		if err := unix.Unmount(where, 0); err != nil {
			t.Error(err)
		}
	}()
	if err := s.Remove("half:1"); err == nil {
		t.Error("a mount was deleted")
	}
	load(t, s, archive)
	for _, file := range []string{"a", "b/c"} {
		if _, err := os.Stat(filepath.Join(lower[0], file)); err != nil {
			t.Errorf("the image that came in again lacks a file: %v", err)
		}
	}
}

// mountOf is where a folder is now.
func mountOf(t *testing.T, dir *os.File) string {
	t.Helper()
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
