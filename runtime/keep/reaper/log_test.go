package reaper

import (
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/runtime/keep/wire"
	"github.com/knarr-io/knarr/runtime/proc"
	"github.com/knarr-io/knarr/runtime/test/property"
)

func open(t testing.TB, dir string) *Log {
	t.Helper()
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestTornLineIsPassedOver(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	for pid := range 3 {
		if err := l.Append(wire.Exit{PID: pid, StartTime: 1}); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "exits")
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, fi.Size()-5); err != nil {
		t.Fatal(err)
	}
	if got := open(t, dir).Since(0); len(got) != 2 || got[1].PID != 1 {
		t.Errorf("records: %+v", got)
	}
}

func TestSubscribersAreWoken(t *testing.T) {
	l := open(t, t.TempDir())
	more, cancel := l.Subscribe()
	defer cancel()
	if err := l.Append(wire.Exit{PID: 7}); err != nil {
		t.Fatal(err)
	}
	<-more
	if got := l.Since(0); len(got) != 1 || got[0].Seq != 1 {
		t.Errorf("records: %+v", got)
	}
}

// The log is a list of what was appended and not forgotten, through restarts.
func TestLogAgainstAList(t *testing.T) {
	base := t.TempDir()
	property.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			rt.Fatal(err)
		}
		l := open(t, dir)
		var model []int
		next := 0
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0, 1:
				if err := l.Append(wire.Exit{PID: next, StartTime: 9}); err != nil {
					rt.Fatal(err)
				}
				model = append(model, next)
				next++
			case 2:
				if len(model) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(model)-1).Draw(rt, "which")
				if err := l.Forget(proc.ID{PID: model[i], StartTime: 9}); err != nil {
					rt.Fatal(err)
				}
				model = append(model[:i], model[i+1:]...)
			case 3:
				l = open(t, dir)
			}
			got := l.Since(0)
			if len(got) != len(model) {
				rt.Fatalf("%d records, want %d", len(got), len(model))
			}
			for i, e := range got {
				if e.PID != model[i] || i > 0 && e.Seq <= got[i-1].Seq {
					rt.Fatalf("record %d: %+v, want pid %d", i, e, model[i])
				}
			}
		}
	})
}
