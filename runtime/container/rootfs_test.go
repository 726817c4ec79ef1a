package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// layers makes folders that stand for layers, topmost first; each holds a file of its own and one that all have.
func layers(t *testing.T, count int) []string {
	t.Helper()
	base := t.TempDir()
	out := make([]string, count)
	for i := range out {
		out[i] = filepath.Join(base, fmt.Sprintf("layer-with-a-name-of-some-length-%03d", i))
		if err := os.Mkdir(out[i], 0o755); err != nil {
			t.Fatal(err)
		}
		for name, body := range map[string]string{fmt.Sprint("own-", i): "x", "common": fmt.Sprint(i)} {
			if err := os.WriteFile(filepath.Join(out[i], name), []byte(body), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out
}

func folder(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// One layer, a few, and more than the options of mount(2) can name.
func TestMountsOfAnyDepth(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts file systems: run it as root")
	}
	for _, count := range []int{1, 3, 120} {
		lower := layers(t, count)
		target, upper, work, image := folder(t, "rootfs"), folder(t, "upper"), folder(t, "work"), folder(t, "image")
		if err := mountOverlay(target, lower, upper, work, ""); err != nil {
			t.Fatalf("%d layers: %v", count, err)
		}
		if err := mountImage(image, lower); err != nil {
			t.Fatalf("image of %d layers: %v", count, err)
		}
		for _, dir := range []string{target, image} {
			if got, err := os.ReadFile(filepath.Join(dir, "common")); err != nil || string(got) != "0" {
				t.Errorf("%d layers: the topmost does not win: %q, %v", count, got, err)
			}
			if _, err := os.Stat(filepath.Join(dir, fmt.Sprint("own-", count-1))); err != nil {
				t.Errorf("%d layers: the lowest is missing: %v", count, err)
			}
		}
		if err := os.WriteFile(filepath.Join(target, "new"), nil, 0o644); err != nil {
			t.Errorf("%d layers: %v", count, err)
		}
		if err := os.WriteFile(filepath.Join(image, "new"), nil, 0o644); err == nil {
			t.Errorf("an image of %d layers can be written", count)
		}
		for _, dir := range []string{target, image, target} { // one of them twice
			if err := unmount(dir); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestAccountFilesDoNotLeadOut(t *testing.T) {
	root := folder(t, "root")
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	acc := accounts{root}
	if _, err := acc.Passwd(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.Symlink("/etc/group", filepath.Join(root, "etc", "passwd")); err != nil {
		t.Fatal(err)
	}
	if f, err := acc.Passwd(); err == nil {
		f.Close()
		t.Error("a link was followed out of the container")
	}
	if err := os.WriteFile(filepath.Join(root, "etc", "group"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := acc.Passwd()
	if err != nil {
		t.Fatalf("a link within the container: %v", err)
	}
	f.Close()
	if err := os.Remove(filepath.Join(root, "etc", "group")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "etc", "group"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := acc.Group(); err == nil {
		t.Error("a folder was read as an account file")
	}
}
