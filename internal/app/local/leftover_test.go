package local

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestLeftoversAreFoundAndEnded(t *testing.T) {
	s := Settings{DataDir: t.TempDir()}
	if err := os.MkdirAll(s.keepState(), 0o700); err != nil {
		t.Fatal(err)
	}
	var running []*exec.Cmd
	for _, script := range []string{"sleep 600", "trap '' TERM; while :; do sleep 600; done"} {
		cmd := exec.Command("sh", "-c", script)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
	}
	noted := map[string]leftover{"gone": {PID: 1 << 22, StartTime: 1}, "another": {PID: os.Getpid(), StartTime: 1}}
	for i, name := range []string{"meek", "stubborn"} {
		started, err := startTime(running[i].Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		noted[name] = leftover{PID: running[i].Process.Pid, StartTime: started}
	}
	data, err := json.Marshal(noted)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.keepState(), "services"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	found := s.leftovers()
	if len(found) != 2 {
		t.Fatalf("found %v, want the two that run", found)
	}
	for name, l := range found {
		if err := l.end(t.Context(), 200*time.Millisecond); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, cmd := range running {
		if err := cmd.Wait(); err == nil {
			t.Errorf("pid %d ended by itself", cmd.Process.Pid)
		}
	}
	if left := s.leftovers(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestTornNoteIsNoObstacle(t *testing.T) {
	s := Settings{DataDir: t.TempDir()}
	if err := os.MkdirAll(s.keepState(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.keepState(), "services"), []byte(`{"server":{"pi`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.leftovers(); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}
