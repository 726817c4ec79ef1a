package progress

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// play runs two steps, one of which fails, in virtual time.
func play(b *Board) {
	one, two := b.Step("one"), b.Step("two")
	time.Sleep(7 * time.Millisecond)
	one.Done("fine")
	time.Sleep(1200 * time.Millisecond)
	_ = two.End(errors.New("broken\nwith more"))
	b.Say("next: %s", "try")
}

func TestEachModeShowsTheSteps(t *testing.T) {
	for _, tc := range []struct {
		mode Mode
		want string
	}{
		{Plain, "  ✓  one                          7 ms  fine\n  ✗  two                        1.21 s  broken\nnext: try\n"},
		{JSON, `{"atMilliseconds":7,"detail":"fine","milliseconds":7,"state":"done","step":"one"}` + "\n" +
			`{"atMilliseconds":1207,"detail":"broken","milliseconds":1207,"state":"failed","step":"two"}` + "\n" + `{"message":"next: try"}` + "\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out strings.Builder
			play(New(&out, tc.mode))
			if out.String() != tc.want {
				t.Errorf("mode %d:\n%s\nwant\n%s", tc.mode, out.String(), tc.want)
			}
		})
	}
}

func TestLiveListIsDrawnOverItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		play(New(&out, Live))
		if got := strings.Count(out.String(), "\x1b[2A"); got != 2 {
			t.Errorf("the list of two was redrawn %d times, want 2: %q", got, out.String())
		}
	})
}

func TestALineOfTheLiveListDoesNotWrap(t *testing.T) {
	for _, tc := range []struct {
		columns int
		want    string
	}{{0, "✓ disk space"}, {12, "✓ disk space"}, {8, "✓ disk …"}, {1, "…"}} {
		if got := fit("✓ disk space", tc.columns); got != tc.want {
			t.Errorf("in %d columns: got %q, want %q", tc.columns, got, tc.want)
		}
	}
}

func TestJSONStaysOneObjectPerLine(t *testing.T) {
	var out strings.Builder
	b := New(&out, JSON)
	b.Step("quote\"\n").Done("line\nbreak")
	b.Result(map[string]any{"ready": true})
	if got := strings.Count(out.String(), "\n"); got != 2 {
		t.Errorf("%d lines, want one of the step and one of the result:\n%s", got, out.String())
	}
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %q", line)
		}
	}
}
