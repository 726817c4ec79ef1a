package apiserver

import (
	"context"
	"net/http"
	"runtime/debug"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/errors"

	"github.com/knarr-io/knarr/internal/apiserver/limits"
)

func TestWarningsAreBounded(t *testing.T) {
	c := &call{}
	for i := range limits.Warnings {
		c.warn(strings.Repeat("y", i%50) + strings.Repeat("x", 2*limits.Warning))
	}
	total, cut := 0, 0
	for _, text := range c.warnings {
		total += len(text)
		if len(text) == limits.Warning {
			cut++
		}
	}
	if total > limits.Warnings || total <= limits.Warnings-limits.Warning || cut == 0 {
		t.Errorf("%d warnings of %d bytes, %d cut", len(c.warnings), total, cut)
	}
	h, n := http.Header{}, len(c.warnings)
	c.writeWarnings(h)
	if len(h.Values("Warning")) != n {
		t.Errorf("%d of %d warnings are sent", len(h.Values("Warning")), n)
	}
}

func TestBytesOfRequestsAreBudgeted(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	for limit, want := range map[int64]int64{1 << 20: limits.BudgetLeast, 400 << 20: 100 << 20, 1 << 50: limits.BudgetMost} {
		debug.SetMemoryLimit(limit)
		if got := budgetSize(); got != want {
			t.Errorf("of %d bytes: %d, want %d", limit, got, want)
		}
	}
	debug.SetMemoryLimit(before)

	s, b := &Server{}, newBudget(2*limits.SmallBytes)
	release, err := s.hold(t.Context(), b, 1<<40) // more than all there is: all there is
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.hold(t.Context(), b, limits.SmallBytes-1); err != nil {
		t.Errorf("a small body waits: %v", err)
	}
	late, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	if _, err := s.hold(late, b, limits.SmallBytes); !errors.IsTooManyRequests(err) {
		t.Errorf("beyond the budget: %v", err)
	}
	release()
	release, err = s.hold(t.Context(), b, limits.SmallBytes)
	if err != nil {
		t.Fatalf("what was given back is gone: %v", err)
	}
	release()
}
