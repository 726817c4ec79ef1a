package logs

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/runtime/test/property"
)

func TestFormat(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	head := "2026-01-02T03:04:05.000000006Z stdout "
	long := strings.Repeat("x", MaxLine)
	for _, tc := range []struct {
		name, in, out string
		used          int
		final         bool
	}{
		{"lines", "a\n\nb\n", head + "F a\n" + head + "F \n" + head + "F b\n", 5, false},
		{"an open line waits", "a\nb", head + "F a\n", 2, false},
		{"the last line", "a\nb", head + "F a\n" + head + "P b\n", 3, true},
		{"a long line in parts", long + "yz\n", head + "P " + long + "\n" + head + "F yz\n", MaxLine + 3, false},
		{"a line of the limit", long + "\n", head + "F " + long + "\n", MaxLine + 1, false},
		{"nothing", "", "", 0, true},
	} {
		got, used := Format(nil, Stdout, at, []byte(tc.in), tc.final)
		if d := cmp.Diff(tc.out, string(got)); d != "" || used != tc.used {
			t.Errorf("%s: used %d, want %d (-want +got):\n%s", tc.name, used, tc.used, d)
		}
	}
}

// However output is cut into pieces, joining the entries gives it back.
func TestFormatKeepsEveryByte(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.SampledFrom([]byte("ab\n")), 0, 200).Draw(t, "in")
		in = append(bytes.Repeat([]byte("z"), rapid.IntRange(0, 2*MaxLine).Draw(t, "pad")), in...)
		var log, pending []byte
		for rest := in; ; {
			n := rapid.IntRange(0, len(rest)).Draw(t, "piece")
			pending = append(pending, rest[:n]...)
			rest = rest[n:]
			final := len(rest) == 0
			var used int
			log, used = Format(log, Stderr, time.Unix(0, 0), pending, final)
			pending = pending[used:]
			if final {
				break
			}
		}
		if got := join(log); !bytes.Equal(got, in) {
			t.Fatalf("got %d bytes back, want %d", len(got), len(in))
		}
	})
}

// join undoes Format.
func join(log []byte) []byte {
	var out []byte
	for _, entry := range bytes.SplitAfter(log, []byte("\n")) {
		if len(entry) == 0 {
			continue
		}
		parts := bytes.SplitN(entry, []byte(" "), 4)
		text := parts[3]
		if parts[2][0] == 'P' {
			text = text[:len(text)-1]
		}
		out = append(out, text...)
	}
	return out
}
