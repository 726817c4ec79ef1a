package node

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestJumpsAreTold(t *testing.T) {
	start := reading{wall: 1000 * time.Hour, steady: time.Hour}
	later := func(by time.Duration) reading {
		return reading{wall: start.wall + time.Minute + by, steady: start.steady + time.Minute}
	}
	for by, want := range map[time.Duration]string{
		0: "", 300 * time.Millisecond: "", -300 * time.Millisecond: "",
		2 * time.Hour:     "The machine's clock was set forward by 2h0m0s: certificates, tokens and deadlines age by it",
		-90 * time.Second: "The machine's clock was set back by 1m30s: what was written meanwhile seems to come from the future",
	} {
		if got := jumpText(jump(start, later(by))); got != want {
			t.Errorf("%s: %q, want %q", by, got, want)
		}
	}
}

func TestClockIsFollowed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// Forward, a little, back: each counts from the one before.
	readings := []reading{{0, 0}, {time.Hour, time.Second}, {time.Hour + time.Second, 2 * time.Second}, {time.Minute, 3 * time.Second}}
	var at int
	wait := func() error {
		if at == len(readings) {
			cancel()
			return errors.New("closed")
		}
		return nil
	}
	read := func() (reading, error) { at++; return readings[at-1], nil }
	var told []string
	if err := followClock(ctx, wait, read, func(text string) { told = append(told, text[:36]) }); !errors.Is(err, context.Canceled) {
		t.Errorf("the end: %v", err)
	}
	if d := cmp.Diff([]string{"The machine's clock was set forward ", "The machine's clock was set back by "}, told); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// The kernel's side: a timer that can be waited for, and a wait that ends.
func TestClockSetsEnd(t *testing.T) {
	sets, err := newClockSets()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- sets.wait() }()
	sets.close()
	if err := <-ended; err == nil {
		t.Error("the wait ended as if the clock had been set")
	}
	if r, err := readClocks(); err != nil || r.wall <= 0 || r.steady <= 0 {
		t.Errorf("readings %+v, %v", r, err)
	}
}
