package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/fault"
)

// An archive is not to blame for a disk that is full, wherever that is noticed.
func TestAFullDiskIsNoCorruptArchive(t *testing.T) {
	archive := dockerSave(t, "big:1", tarOf(t, tar.Header{Name: "a", Uname: strings.Repeat("content", 50_000)}))
	for _, size := range []string{"size=128k", "size=512k"} { // to take the archive apart, to store its blobs
		dir := t.TempDir()
		if err := unix.Mount("small", dir, "tmpfs", 0, size); err != nil {
			t.Fatal(err)
		}
		_, err := open(t, dir).Import(t.Context(), bytes.NewReader(archive), "")
		if uerr := unix.Unmount(dir, 0); uerr != nil {
			t.Error(uerr)
		}
		if !errors.Is(err, unix.ENOSPC) || fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "corrupt") {
			t.Errorf("%s: %v", size, err)
		}
	}
}
