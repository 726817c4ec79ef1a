package local

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheLogsFolderGoesUnlessOthersUseIt(t *testing.T) {
	own, shared := filepath.Join(t.TempDir(), "pods"), filepath.Join(t.TempDir(), "pods")
	for _, dir := range []string{own, filepath.Join(shared, "others")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{own, shared, filepath.Join(own, "never", "there")} {
		if err := removeEmpty(dir); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if _, err := os.Stat(own); !os.IsNotExist(err) {
		t.Errorf("the empty folder stays: %v", err)
	}
	if _, err := os.Stat(filepath.Join(shared, "others")); err != nil {
		t.Errorf("what belongs to others: %v", err)
	}
}
