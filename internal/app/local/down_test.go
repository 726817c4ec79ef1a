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

// A cluster that was down when it is purged leaves no logs either, and those of
// others stay.
func TestLogsOfPodsThatTheNodeKnewGo(t *testing.T) {
	s := Settings{DataDir: t.TempDir(), LogDir: t.TempDir()}
	for _, dir := range []string{
		filepath.Join(s.NodeRoot(), "pods", "uid-1"),
		filepath.Join(s.LogDir, "default_web_uid-1", "c"), filepath.Join(s.LogDir, "default_web_uid-2", "c"), filepath.Join(s.LogDir, "foreign_"), filepath.Join(s.LogDir, "uid-1"),
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := (downer{Settings: s, purge: true}).removeKnownLogs(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"default_web_uid-1": false, "default_web_uid-2": true, "foreign_": true, "uid-1": true} {
		if got := exists(filepath.Join(s.LogDir, name)); got != want {
			t.Errorf("%s: there %v, want %v", name, got, want)
		}
	}
	if err := (downer{Settings: Settings{LogDir: filepath.Join(t.TempDir(), "none")}}).removeKnownLogs(); err != nil {
		t.Error(err)
	}
}
