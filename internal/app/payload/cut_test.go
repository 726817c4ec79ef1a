package payload

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What a power cut left of the programs of a node is made whole; what is whole
// stays as it is.
func TestProgramsAfterAPowerCut(t *testing.T) {
	content := map[string][]byte{"knarr-keep": []byte("keep"), "knarr-runtime": []byte("runtime")}
	folder := filepath.Join(t.TempDir(), "bin", "0123")
	inode := func() os.FileInfo {
		t.Helper()
		if err := ensure(folder, content); err != nil {
			t.Fatal(err)
		}
		for name, want := range content {
			if got, err := os.ReadFile(filepath.Join(folder, name)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %q %v", name, got, err)
			}
		}
		info, err := os.Stat(folder)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first := inode()
	if !os.SameFile(first, inode()) {
		t.Error("whole programs were made anew")
	}
	if err := os.Truncate(filepath.Join(folder, "knarr-keep"), 0); err != nil {
		t.Fatal(err)
	}
	inode()
	if err := os.Remove(filepath.Join(folder, "knarr-runtime")); err != nil {
		t.Fatal(err)
	}
	inode()
}

// So is the program itself, where it had to be copied.
func TestTheProgramAfterAPowerCut(t *testing.T) {
	dir := t.TempDir()
	target, err := Install(dir)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.Stat(target)
	if err != nil {
		t.Fatal(err)
	}
	// A link to the program that runs must not be cut.
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(target, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	again, err := Install(dir)
	if err != nil || again != target {
		t.Fatal(again, err)
	}
	if !hasSize(target, whole.Size()) {
		t.Error("half a program is taken for whole")
	}
}
