package logs

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// Somebody empties a log to have the disk back, while it is written or while
// the runtime is dead: what follows stands at its beginning.
func TestALogThatWasEmptied(t *testing.T) {
	for _, dead := range []bool{false, true} {
		b := newBench(t, t.TempDir())
		if _, err := b.in.WriteString("first\n"); err != nil {
			t.Fatal(err)
		}
		b.crash(4) // the first line is in the log
		if err := os.Truncate(b.path, 0); err != nil {
			t.Fatal(err)
		}
		if dead {
			b.restart()
		}
		if _, err := b.in.WriteString("second\n"); err != nil {
			t.Fatal(err)
		}
		if got := b.finish(); bytes.IndexByte(got, 0) >= 0 || !strings.HasSuffix(string(got), " stdout F second\n") || bytes.Contains(got, []byte("first")) {
			t.Errorf("dead %v: the log is %q", dead, got)
		}
	}
}
