package logs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/await"
	"github.com/knarr-io/knarr/internal/testkit/property"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func line(second int, stream, tag, text string) string {
	return epoch.Add(time.Duration(second)*time.Second).Format(time.RFC3339Nano) + " " + stream + " " + tag + " " + text + "\n"
}

func write(t interface {
	Helper()
	Fatal(...any)
}, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func text(t *testing.T, path string, o Options) string {
	t.Helper()
	var out bytes.Buffer
	if err := Read(t.Context(), path, o, &out, func() {}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "0.log")
	write(t, path+".20260102-030405.000000", line(0, "stdout", "F", "old"))
	write(t, path, line(1, "stdout", "F", "one")+line(2, "stderr", "F", "err")+"no record\n"+line(3, "stdout", "P", "in ")+line(3, "stdout", "P", "two ")+line(3, "stdout", "F", "parts")+line(4, "stdout", "F", "last"))
	stamp := func(s int) string { return epoch.Add(time.Duration(s)*time.Second).Format(time.RFC3339Nano) + " " }
	cases := []struct {
		name string
		opts Options
		want string
	}{
		{"all, across rotated files", Options{Tail: -1}, "old\none\nerr\nin two parts\nlast\n"},
		{"none", Options{Tail: 0}, ""},
		{"last line", Options{Tail: 1}, "last\n"},
		{"a line in parts counts once", Options{Tail: 2}, "in two parts\nlast\n"},
		{"tail across files; a foreign line counts, unseen", Options{Tail: 6}, "old\none\nerr\nin two parts\nlast\n"},
		{"more than there is", Options{Tail: 50}, "old\none\nerr\nin two parts\nlast\n"},
		{"since", Options{Tail: -1, Since: epoch.Add(3 * time.Second)}, "in two parts\nlast\n"},
		{"one stream", Options{Tail: -1, Stream: "stderr"}, "err\n"},
		{"limit", Options{Tail: -1, Limit: 6}, "old\non"},
		{"timestamps", Options{Tail: 2, Timestamps: true}, stamp(3) + "in two parts\n" + stamp(4) + "last\n"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if got := text(t, path, tc.opts); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestTailIsTheEndOfAll holds tail against a plain cut of the whole text.
func TestTailIsTheEndOfAll(t *testing.T) {
	base := t.TempDir()
	property.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "0.log")
		var whole []string
		n := 0
		for f := range rapid.IntRange(1, 3).Draw(t, "files") {
			var b strings.Builder
			for range rapid.IntRange(0, 40).Draw(t, "lines") {
				n++
				size := rapid.SampledFrom([]int{1, 80, 5000}).Draw(t, "size")
				body := fmt.Sprint(n) + strings.Repeat("x", size)
				if rapid.Bool().Draw(t, "parts") {
					b.WriteString(line(n, "stdout", "P", body[:1]))
					b.WriteString(line(n, "stdout", "F", body[1:]))
				} else {
					b.WriteString(line(n, "stdout", "F", body))
				}
				whole = append(whole, body+"\n")
			}
			write(t, fmt.Sprintf("%s.%d", path, f), b.String())
		}
		write(t, path, "")
		tail := rapid.IntRange(0, 130).Draw(t, "tail")
		var out bytes.Buffer
		if err := Read(context.Background(), path, Options{Tail: int64(tail)}, &out, func() {}); err != nil {
			t.Fatal(err)
		}
		if want := strings.Join(whole[max(len(whole)-tail, 0):], ""); out.String() != want {
			t.Fatalf("tail %d: %d bytes, want %d", tail, out.Len(), len(want))
		}
	})
}

// safe is a buffer that a reader fills while the test looks.
type safe struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *safe) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func awaitText(t *testing.T, out *safe, want string) {
	t.Helper()
	await.Until(t, time.Minute, "the text "+want, func() bool { return out.String() == want })
}

func TestFollowAcrossRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	appendTo(t, path, line(1, "stdout", "F", "one"))
	ended, over := make(chan struct{}), make(chan error, 1)
	out := &safe{}
	go func() {
		over <- Read(t.Context(), path, Options{Tail: -1, Follow: true, Ended: ended, Changes: new(Changes)}, out, func() {})
	}()
	awaitText(t, out, "one\n")
	appendTo(t, path, line(2, "stdout", "F", "two"))
	awaitText(t, out, "one\ntwo\n")
	rotated, err := Policy{MaxSize: 1, MaxFiles: 5}.Rotate(path, epoch, func() error {
		appendTo(t, path+"."+epoch.Format("20060102-150405.000000"), line(3, "stdout", "F", "three"))
		appendTo(t, path, line(4, "stdout", "F", "four"))
		return nil
	})
	if err != nil || !rotated {
		t.Fatal(rotated, err)
	}
	awaitText(t, out, "one\ntwo\nthree\nfour\n")
	appendTo(t, path, line(5, "stdout", "F", "five"))
	close(ended)
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "one\ntwo\nthree\nfour\nfive\n" {
		t.Errorf("got %q", got)
	}
}

// A log that somebody empties while it is followed goes on at its beginning.
func TestFollowAnEmptiedLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	appendTo(t, path, line(1, "stdout", "F", "one"))
	appendTo(t, path, line(2, "stdout", "F", "two"))
	ended, over := make(chan struct{}), make(chan error, 1)
	out := &safe{}
	go func() {
		over <- Read(t.Context(), path, Options{Tail: -1, Follow: true, Ended: ended, Changes: new(Changes)}, out, func() {})
	}()
	awaitText(t, out, "one\ntwo\n")
	write(t, path, line(3, "stdout", "F", "three"))
	awaitText(t, out, "one\ntwo\nthree\n")
	appendTo(t, path, line(4, "stdout", "F", "four"))
	awaitText(t, out, "one\ntwo\nthree\nfour\n")
	// As a runtime does that puts right what a kill left of it.
	if err := os.Truncate(path, int64(len(line(3, "stdout", "F", "three")))); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, line(4, "stdout", "F", "four")+line(5, "stdout", "F", "five"))
	awaitText(t, out, "one\ntwo\nthree\nfour\nfive\n")
	close(ended)
	if err := <-over; err != nil {
		t.Fatal(err)
	}
}

// slow is a reader in whose first read the log goes on and is rotated twice.
type slow struct {
	safe
	once   sync.Once
	rotate func()
}

func (s *slow) Write(b []byte) (int, error) {
	s.once.Do(s.rotate)
	return s.safe.Write(b)
}

// Who is slow misses no file, however many rotations go past.
func TestRotationsPastASlowReader(t *testing.T) {
	for _, follow := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "0.log")
		write(t, path+".20260102-030405.000000", line(0, "stdout", "F", "old"))
		write(t, path, line(1, "stdout", "F", "one"))
		ended := make(chan struct{})
		out := &slow{rotate: func() {
			for i, name := range []string{"two", "three"} {
				if err := os.Rename(path, fmt.Sprintf("%s.20260102-03040%d.000000", path, 6+i)); err != nil {
					t.Error(err)
				}
				write(t, path, line(2+i, "stdout", "F", name))
			}
			close(ended)
		}}
		o := Options{Tail: -1, Follow: follow, Ended: ended, Changes: new(Changes)}
		if err := Read(t.Context(), path, o, out, func() {}); err != nil {
			t.Fatal(err)
		}
		want := "old\none\n"
		if follow {
			want += "two\nthree\n"
		}
		if got := out.String(); got != want {
			t.Errorf("following %v: got %q, want %q", follow, got, want)
		}
	}
}

// A file that was removed is followed by what came after it, and by nothing before.
func TestARemovedFileIsFollowedByLaterOnes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	earlier := path + ".20260102-030405.000000"
	write(t, earlier, line(0, "stdout", "F", "old"))
	if err := os.Chtimes(earlier, epoch, epoch); err != nil {
		t.Fatal(err)
	}
	write(t, path, line(1, "stdout", "F", "one"))
	ended := make(chan struct{})
	out := &slow{rotate: func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
		write(t, path, line(2, "stdout", "F", "two"))
		close(ended)
	}}
	o := Options{Tail: 1, Follow: true, Ended: ended, Changes: new(Changes)}
	if err := Read(t.Context(), path, o, out, func() {}); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "one\ntwo\n" {
		t.Errorf("got %q", got)
	}
}

func TestRotateKeepsSoMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	for i := range 8 {
		appendTo(t, path, line(i, "stdout", "F", "x"))
		if _, err := (Policy{MaxSize: 1, MaxFiles: 3}).Rotate(path, epoch.Add(time.Duration(i)*time.Second), func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	appendTo(t, path, line(9, "stdout", "F", "now"))
	if got := text(t, path, Options{Tail: -1}); got != "x\nx\nnow\n" {
		t.Errorf("got %q", got)
	}
	failing := func() error { return fmt.Errorf("no") }
	if _, err := (Policy{MaxSize: 1, MaxFiles: 3}).Rotate(path, epoch.Add(time.Hour), failing); err == nil {
		t.Error("a failed reopen went unnoticed")
	}
	if got := text(t, path, Options{Tail: 1}); got != "now\n" {
		t.Errorf("after a failed reopen: %q", got)
	}
}

// The file that the runtime has opened is the log, though its answer was lost.
func TestRotateWithoutAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	appendTo(t, path, line(0, "stdout", "F", "before"))
	_, err := Policy{MaxSize: 1, MaxFiles: 3}.Rotate(path, epoch, func() error {
		appendTo(t, path, line(1, "stdout", "F", "after"))
		return fmt.Errorf("the connection broke")
	})
	if err == nil {
		t.Error("the lost answer went unnoticed")
	}
	if got := text(t, path, Options{Tail: -1}); got != "before\nafter\n" {
		t.Errorf("got %q", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(line(0, "stdout", "F", "x")))
	f.Add([]byte(line(0, "stderr", "P:x", "")))
	f.Add([]byte("2026 stdout"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, ok := parse(data)
		if ok && len(r.text) > len(data) {
			t.Error("text longer than its line")
		}
	})
}
