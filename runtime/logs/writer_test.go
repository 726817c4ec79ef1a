package logs

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/runtime/test/property"
)

// bench is a log with a pipe into it; the writer can be abandoned as by a kill.
type bench struct {
	t    testing.TB
	dir  string
	path string
	w    *Writer
	src  PipeSource
	in   *os.File
}

func newBench(t testing.TB, dir string) *bench {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(p[0], true); err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dir: filepath.Join(dir, "state"), path: filepath.Join(dir, "log", "0.log"),
		src: PipeSource{os.NewFile(uintptr(p[0]), "r")}, in: os.NewFile(uintptr(p[1]), "w")}
	b.restart()
	return b
}

func (b *bench) restart() {
	b.t.Helper()
	w, err := Open(b.dir, b.path, &Pool{}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		b.t.Fatal(err)
	}
	b.w = w
}

func (b *bench) finish() []byte {
	b.t.Helper()
	b.in.Close()
	if err := b.w.Pump(Stdout, b.src, nil); err != nil {
		b.t.Fatal(err)
	}
	b.w.Close()
	b.src.File.Close()
	return b.read(b.path)
}

func (b *bench) read(path string) []byte {
	b.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	return data
}

// crash does the steps of one batch up to a point and then forgets the writer.
func (b *bench) crash(point int) {
	w := b.w
	w.mu.Lock()
	st := w.stages[0]
	if point >= 1 {
		if n, err := b.src.MoveTo(st.file, st.size); err == nil {
			st.size += n
		}
	}
	if point >= 2 {
		rest := make([]byte, st.size-w.state.done[0])
		if _, err := st.file.ReadAt(rest, w.state.done[0]); err != nil {
			b.t.Fatal(err)
		}
		out, used := Format(nil, Stdout, unixEpoch, rest, false)
		if point == 2 {
			out = out[:len(out)/2] // killed in the middle of the write
		}
		w.appendLocked(out)
		if point >= 4 {
			w.state.done[0] += int64(used)
			if err := w.commitLocked(); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	w.mu.Unlock()
	b.restart()
}

// Killed between any two steps, any number of times, nothing is lost or doubled.
func TestNothingIsLostOrDoubledByKills(t *testing.T) {
	base := t.TempDir()
	run := 0
	property.Check(t, func(rt *rapid.T) {
		run++
		b := newBench(t, filepath.Join(base, fmt.Sprint(run)))
		var want bytes.Buffer
		line := 0
		for range rapid.IntRange(1, 12).Draw(rt, "rounds") {
			for range rapid.IntRange(1, 400).Draw(rt, "lines") {
				fmt.Fprintf(&want, "line %d\n", line)
				fmt.Fprintf(b.in, "line %d\n", line)
				line++
			}
			if rapid.Bool().Draw(rt, "open line") {
				want.WriteString("part ")
				if _, err := b.in.WriteString("part "); err != nil {
					rt.Fatal(err)
				}
			}
			b.crash(rapid.IntRange(0, 4).Draw(rt, "point"))
		}
		if got := join(b.finish()); !bytes.Equal(got, want.Bytes()) {
			rt.Fatalf("got %d bytes, want %d", len(got), want.Len())
		}
	})
}

func TestRotationDuringAKill(t *testing.T) {
	b := newBench(t, t.TempDir())
	if _, err := b.in.WriteString("one\ntwo\n"); err != nil {
		t.Fatal(err)
	}
	b.w.mu.Lock()
	st := b.w.stages[0]
	n, err := b.src.MoveTo(st.file, st.size)
	if err != nil {
		t.Fatal(err)
	}
	st.size += n
	b.w.mu.Unlock()
	rotated := b.path + ".20260101-000000"
	if err := os.Rename(b.path, rotated); err != nil {
		t.Fatal(err)
	}
	b.restart()
	if _, err := b.in.WriteString("three\n"); err != nil {
		t.Fatal(err)
	}
	now := join(b.finish())
	if got := string(join(b.read(rotated))) + string(now); got != "one\ntwo\nthree\n" {
		t.Fatalf("got %q", got)
	}
	if string(now) != "three\n" {
		t.Fatalf("the new file holds %q", now)
	}
}

func TestReopenAndTap(t *testing.T) {
	b := newBench(t, t.TempDir())
	var tapped bytes.Buffer
	done := make(chan error, 1)
	seen := make(chan struct{}, 16)
	go func() {
		done <- b.w.Pump(Stdout, b.src, func(p []byte) { tapped.Write(p); seen <- struct{}{} })
	}()
	if _, err := b.in.WriteString("before\n"); err != nil {
		t.Fatal(err)
	}
	<-seen
	// The tap is called before the entry is written, under the writer's lock.
	if err := os.Rename(b.path, b.path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := b.w.Reopen(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.in.WriteString("after"); err != nil {
		t.Fatal(err)
	}
	b.in.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := string(join(b.read(b.path + ".1"))); got != "before\n" {
		t.Errorf("old file: %q", got)
	}
	if got := string(join(b.read(b.path))); got != "after" {
		t.Errorf("new file: %q", got)
	}
	if tapped.String() != "before\nafter" {
		t.Errorf("tap: %q", tapped.String())
	}
	if fi, err := os.Stat(b.path); err != nil || fi.Mode().Perm() != fileMode {
		t.Errorf("mode: %v, %v", fi.Mode(), err)
	}
}

func TestMuchOutputTakesLittleSpace(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "knarr-log-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	b := newBench(t, dir)
	go func() {
		line := []byte(strings.Repeat("x", 99) + "\n")
		for range 50000 {
			if _, err := b.in.Write(line); err != nil {
				return
			}
		}
		b.in.Close()
	}()
	if err := b.w.Pump(Stdout, b.src, nil); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(b.dir, "stdout"), &st); err != nil {
		t.Fatal(err)
	}
	if held := st.Blocks * 512; held > 256<<10 {
		t.Errorf("staging file holds %d bytes", held)
	}
	if got := len(join(b.read(b.path))); got != 50000*100 {
		t.Errorf("log has %d bytes", got)
	}
	b.w.Close()
}

func TestTerminalSource(t *testing.T) {
	master, slave := openTerminal(t)
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	w, err := Open(filepath.Join(dir, "state"), filepath.Join(dir, "log"), &Pool{}, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	src := TerminalSource{Master: master, R: os.NewFile(uintptr(p[0]), "r"), W: os.NewFile(uintptr(p[1]), "w")}
	done := make(chan error, 1)
	go func() { done <- w.Pump(Stdout, src, nil) }()
	if _, err := slave.WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil || !strings.HasSuffix(string(data), "F hello\r\n") {
		t.Fatalf("%q, %v", data, err)
	}
}
