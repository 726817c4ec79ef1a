package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// journal is what happened, in order.
type journal struct {
	mu struct {
		sync.Mutex
		lines []string
	}
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.lines = append(j.mu.lines, line)
}

func (j *journal) lines() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.mu.lines...)
}

// steady is a part that is ready after a while and runs until stopped.
func steady(j *journal, name string, takes time.Duration, needs ...string) Part {
	return Part{Name: name, Needs: needs, Run: func(ctx context.Context, ready func()) error {
		j.add("start " + name)
		time.Sleep(takes)
		ready()
		<-ctx.Done()
		j.add("stop " + name)
		return ctx.Err()
	}}
}

func TestStartsByNeedAndStopsInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		g, err := New(slog.New(slog.DiscardHandler),
			steady(j, "api", time.Second, "store"),
			steady(j, "store", time.Second),
			steady(j, "agent", 0, "api"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Run(ctx) }()
		<-g.Ready()
		if got := g.Status()[0]; got.State != Ready || got.Took != time.Second {
			t.Errorf("status of api: %+v", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		want := []string{"start store", "start api", "start agent", "stop agent", "stop api", "stop store"}
		if diff := cmp.Diff(want, j.lines()); diff != "" {
			t.Error(diff)
		}
		for _, s := range g.Status() {
			if s.State != Stopped {
				t.Errorf("%s is %s", s.Name, s.State)
			}
		}
	})
}

func TestFailureStopsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		broken := errors.New("no disk")
		g, err := New(slog.New(slog.DiscardHandler),
			steady(j, "store", 0),
			Part{Name: "api", Needs: []string{"store"}, Run: func(context.Context, func()) error {
				time.Sleep(time.Second)
				return broken
			}},
			steady(j, "agent", 0, "api"))
		if err != nil {
			t.Fatal(err)
		}
		err = g.Run(t.Context())
		if !errors.Is(err, broken) || !strings.Contains(err.Error(), "api") {
			t.Errorf("Run: %v", err)
		}
		if diff := cmp.Diff([]string{"start store", "stop store"}, j.lines()); diff != "" {
			t.Error(diff)
		}
		if got := g.Status()[1]; got.State != Failed || got.Err == nil {
			t.Errorf("status of api: %+v", got)
		}
	})
}

func TestPartThatFinishesStaysReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		g, err := New(slog.New(slog.DiscardHandler),
			Part{Name: "bootstrap", Run: func(context.Context, func()) error { return nil }},
			steady(j, "api", 0, "bootstrap"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Run(ctx) }()
		<-g.Ready()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	run := func(context.Context, func()) error { return nil }
	for name, parts := range map[string][]Part{
		"twice":   {{Name: "a", Run: run}, {Name: "a", Run: run}},
		"unknown": {{Name: "a", Needs: []string{"b"}, Run: run}},
		"cycle":   {{Name: "a", Needs: []string{"b"}, Run: run}, {Name: "b", Needs: []string{"a"}, Run: run}},
		"itself":  {{Name: "a", Needs: []string{"a"}, Run: run}},
	} {
		if _, err := New(slog.New(slog.DiscardHandler), parts...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
