package proc

import (
	"context"
	"errors"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func start(t *testing.T, script string) (*Handle, func()) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	h, err := id.Watch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	t.Cleanup(func() { stdin.Close() }) // and not before, when it is garbage
	return h, func() { stdin.Close() }
}

func TestWaitPeekReap(t *testing.T) {
	h, release := start(t, "read x; exit 42")
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := h.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a running process: %v", err)
	}
	release()
	if err := h.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range []func() (Status, error){h.Peek, h.Reap} {
		if st, err := f(); err != nil || st.Code != 42 {
			t.Fatalf("%+v, %v", st, err)
		}
	}
	if _, err := h.Reap(); !errors.Is(err, ErrNotChild) {
		t.Fatalf("after it was reaped: %v", err)
	}
	if err := h.Signal(unix.SIGTERM); err != nil {
		t.Fatalf("signal to a dead process: %v", err)
	}
}

func TestStatusOfAKilledProcess(t *testing.T) {
	h, _ := start(t, "read x")
	if err := h.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := h.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st, err := h.Reap(); err != nil || st.Signal != 9 || st.Code != 137 {
		t.Fatalf("%+v, %v", st, err)
	}
}

func TestTerminateKillsAfterGrace(t *testing.T) {
	h, _ := start(t, "trap '' TERM; read x; read x")
	done := make(chan error, 1)
	go func() { done <- h.ID.Terminate(unix.SIGTERM, 20*time.Millisecond) }()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if st, err := h.Reap(); err != nil || st.Signal == 0 {
		t.Fatalf("%+v, %v", st, err)
	}
}
