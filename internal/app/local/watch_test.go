package local

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// watched is a cluster's folders with a log, and what Watch makes of them.
func watched(t *testing.T, s Settings, out *signalled) (stop func(), ended chan error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	ended = make(chan error, 1)
	go func() { ended <- Watch(ctx, s, out) }()
	return cancel, ended
}

// signalled tells of each write.
type signalled struct{ wrote chan string }

func (s *signalled) Write(p []byte) (int, error) {
	s.wrote <- string(p)
	return len(p), nil
}

func watchedSettings(t *testing.T) (Settings, string) {
	t.Helper()
	dir := t.TempDir()
	s := Settings{DataDir: filepath.Join(dir, "data"), RunDir: filepath.Join(dir, "run")}
	if err := errors.Join(os.MkdirAll(s.logs(), 0o755), os.MkdirAll(s.RunDir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return s, filepath.Join(s.logs(), "server.log")
}

func TestWatchEndsWhenTheClusterIsTakenDown(t *testing.T) {
	s, log := watchedSettings(t)
	if err := os.WriteFile(log, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := &signalled{wrote: make(chan string)}
	stop, ended := watched(t, s, out)
	defer stop()
	// The line is written again until the watch, which begins meanwhile, shows it.
	append1 := func() {
		f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString("after\n")
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Error(err)
		}
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for shown := false; !shown; {
		select {
		case text := <-out.wrote:
			shown = true
			if bytes.Contains([]byte(text), []byte("before")) {
				t.Errorf("what was there before is shown: %q", text)
			}
		case <-tick.C:
			append1()
		case err := <-ended:
			t.Fatalf("ended: %v", err)
		}
	}
	go func() {
		for range out.wrote { // further lines
		}
	}()
	if err := os.Remove(s.RunDir); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrTakenDown) {
		t.Errorf("got %v", err)
	}
	close(out.wrote)
}

func TestALogThatWasEmptiedIsReadFromItsStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("a long first line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out bytes.Buffer
	for _, next := range []string{"", "short\n"} {
		if next != "" {
			if err := os.WriteFile(path, []byte(next), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := copyGrown(&out, f); err != nil {
			t.Fatal(err)
		}
	}
	if got := out.String(); got != "a long first line\nshort\n" {
		t.Errorf("got %q", got)
	}
}

func TestScopesAreNamedAfterTheCgroup(t *testing.T) {
	for parent, want := range map[string]string{"/knarr": "knarr.scope", "/knarr-node2": "knarr-node2.scope", "/a/b c": "a-b-c.scope"} {
		if got := (Settings{CgroupParent: parent}).scope(); got != want {
			t.Errorf("%s: got %s, want %s", parent, got, want)
		}
	}
}
