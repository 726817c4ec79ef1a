package supervisor

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keep/wire"
)

func TestRotateKeepsThree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	writer, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	for round := range byte(5) {
		if _, err := writer.Write(bytes.Repeat([]byte{'a' + round}, 100)); err != nil {
			t.Fatal(err)
		}
		if err := rotate(path, 100); err != nil {
			t.Fatal(err)
		}
		if err := rotate(path, 100); err != nil { // too small now
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != rotateKeep {
		t.Fatalf("files: %v, %v", files, err)
	}
	for name, want := range map[string]byte{".1": 'e', ".2": 'd'} {
		data, err := os.ReadFile(path + name)
		if err != nil || len(data) != 100 || data[0] != want {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
}

func newSupervisor(t *testing.T, dir string) *Supervisor {
	t.Helper()
	s, err := New(dir, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Sockets that both specs name keep their descriptor, others open and close.
func TestExchangeSockets(t *testing.T) {
	dir := t.TempDir()
	s := newSupervisor(t, dir)
	svc := s.entry("svc")
	sock := func(name string) wire.Socket {
		return wire.Socket{Name: name, Network: "unix", Address: filepath.Join(dir, name)}
	}
	if err := s.exchangeSockets(svc, []wire.Socket{sock("a"), sock("b")}); err != nil {
		t.Fatal(err)
	}
	svc.spec.Listen = []wire.Socket{sock("a"), sock("b")}
	first := append([]int(nil), svc.sockets...)
	if err := s.exchangeSockets(svc, []wire.Socket{sock("b"), sock("c")}); err != nil {
		t.Fatal(err)
	}
	if len(svc.sockets) != 2 || svc.sockets[0] != first[1] {
		t.Errorf("descriptors %v, were %v", svc.sockets, first)
	}
	if svc.sockets[1] != first[0] {
		if _, err := unix.FcntlInt(uintptr(first[0]), unix.F_GETFD, 0); err == nil {
			t.Error("a socket that nobody wants stays open")
		}
	}
	closeAll(svc.sockets)
}

func TestSubscribersSeeEveryChangeOrAreCutOff(t *testing.T) {
	s := newSupervisor(t, t.TempDir())
	_, changes, cancel := s.Subscribe()
	defer cancel()
	s.mu.Lock()
	for range subscriberBuffer + 1 {
		s.publishLocked(wire.Status{Name: "x"})
	}
	s.mu.Unlock()
	seen := 0
	for range changes {
		seen++
	}
	if seen != subscriberBuffer {
		t.Errorf("%d changes before the cut", seen)
	}
}
