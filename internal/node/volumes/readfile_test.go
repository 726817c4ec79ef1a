package volumes

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What a pod put into its volume leads to nothing outside of it, and holds
// nobody up.
func TestReadFileStaysInTheVolume(t *testing.T) {
	root := t.TempDir()
	volume := filepath.Join(root, "volume")
	must(t, os.MkdirAll(filepath.Join(volume, "sub"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "secret"), []byte("outside"), 0o600))
	must(t, os.WriteFile(filepath.Join(volume, "env"), []byte("inside"), 0o600))
	must(t, os.Symlink("/env", filepath.Join(volume, "absolute")))
	must(t, os.Symlink("../../secret", filepath.Join(volume, "sub/up")))
	must(t, unix.Mkfifo(filepath.Join(volume, "pipe"), 0o600))
	must(t, os.WriteFile(filepath.Join(volume, "large"), make([]byte, maxFile+1), 0o600))
	v := Mounted{HostPath: volume}
	for path, want := range map[string]string{"env": "inside", "/env": "inside", "absolute": "inside", "sub/../env": "inside"} {
		if got, err := v.ReadFile(path); err != nil || got != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	for _, path := range []string{"none", "sub/up", "../secret", "../../secret"} {
		if got, err := v.ReadFile(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	for _, path := range []string{"sub", "pipe", "large"} {
		if _, err := v.ReadFile(path); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := (Mounted{}).ReadFile("env"); err == nil {
		t.Error("a volume without a folder was read")
	}
}
