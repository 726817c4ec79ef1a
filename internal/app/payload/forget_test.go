package payload

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// The programs of builds before go, but for what runs, is wanted, or is not ours.
func TestFormerProgramsGo(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Fatal(err)
	}
	current, runs := "0123456789abcdef", "fedcba9876543210"
	for _, name := range []string{current, runs, "0000000000000000", ".new-1"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"knarr-1-1", "knarr-2-2", "README", runs + "/notes"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, runs, "knarr-keep")
	if err := copyProgram(cat, program); err != nil {
		t.Fatal(err)
	}
	running := exec.CommandContext(t.Context(), program)
	in, err := running.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	left := func() []string {
		t.Helper()
		if err := Forget(dir, filepath.Join(dir, current), filepath.Join(dir, "knarr-2-2")); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	if got, want := left(), []string{current, "README", runs, "knarr-2-2"}; !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := running.Wait(); err != nil {
		t.Fatal(err)
	}
	if got, want := left(), []string{current, "README", "knarr-2-2"}; !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
	if err := Forget(filepath.Join(dir, "none")); err != nil {
		t.Error(err)
	}
}
