package logs

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A container ends while its disk holds the log's writer up, and somebody else
// keeps its output open. When the waiting for more is ended, what is in the pipe
// gets into the log all the same.
func TestASlowDiskLosesNoLastWords(t *testing.T) {
	b := newBench(t, t.TempDir())
	b.w.mu.Lock() // as a write that does not come back
	pumped := make(chan error, 1)
	go func() { pumped <- b.w.Pump(Stdout, b.src, nil) }()
	if _, err := b.in.WriteString("first\n"); err != nil {
		t.Fatal(err)
	}
	for unread(t, b.in) > 0 { // until it is on its way
		runtime.Gosched()
	}
	if _, err := b.in.WriteString("last words\nand half a line"); err != nil {
		t.Fatal(err)
	}
	if err := b.src.File.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	b.w.mu.Unlock()
	if err := <-pumped; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("of output that is open elsewhere: %v", err)
	}
	b.in.Close()
	b.w.Close()
	got := string(b.read(b.path))
	for _, want := range []string{"stdout F first\n", "stdout F last words\n", "stdout P and half a line\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("the log lacks %q:\n%s", want, got)
		}
	}
}

// unread is how much of a pipe nobody has read.
func unread(t *testing.T, pipe *os.File) (n int) {
	t.Helper()
	raw, err := pipe.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var ierr error
	if err := raw.Control(func(fd uintptr) { n, ierr = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }); err != nil || ierr != nil {
		t.Fatal(err, ierr)
	}
	return n
}
