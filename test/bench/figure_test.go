package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		name             string
		samples          []float64
		median, min, max float64
	}{
		{"one", []float64{3}, 3, 3, 3},
		{"unordered", []float64{9, 1, 5}, 5, 1, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := spread("x", "ms", "", c.samples)
			if f.Median != c.median || f.Min != c.min || f.Max != c.max || f.N != len(c.samples) {
				t.Errorf("spread(%v) = %+v", c.samples, f)
			}
		})
	}
	if used := single("x", "ms", "", 1).using([]float64{3, 1, 2}, 4); used.CPU != 2 || used.CPUBudget != 4 {
		t.Errorf("CPU of 1, 2, 3 is %v, budget %v", used.CPU, used.CPUBudget)
	}
}

func TestReportSetsFiguresBesideBudgets(t *testing.T) {
	r := report{Figures: []figure{single("get", "op/s", "6,000", 8000).using([]float64{0.1}, 0.08)}}
	want := "| get | 8000 op/s |  | 6,000 | 0.100 | 0.080 |"
	if got := r.markdown(); !strings.Contains(got, want) {
		t.Errorf("no line %q in:\n%s", want, got)
	}
}

func TestReportTellsWhatFailed(t *testing.T) {
	r := report{Failed: []failure{{"huge", "it took longer than 30m0s"}}, Missing: []string{"api", "list"}}
	for name, text := range map[string]string{"alone": r.markdown(), "beside upstream": r.comparison()} {
		for _, want := range []string{"Not measured, since it failed: huge: it took longer than 30m0s\n", "before it measured: api, list.\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no line %q in:\n%s", name, want, text)
			}
		}
	}
}

func TestComparisonPairsFiguresByName(t *testing.T) {
	r := report{
		Figures:  []figure{single("ours alone", "ms", "", 1), single("both", "ms", "", 2).using([]float64{0.5}, 0), single("rate", "op/s", "", 60)},
		Upstream: []figure{single("both", "ms", "", 5).using([]float64{2}, 0), single("rate", "op/s", "", 20)},
	}
	got := r.comparison()
	for _, want := range []string{"| both | 2.00 ms | 5.00 ms | 2.50× | 0.500 | 2.00 | 4.00× |", "| rate | 60.0 op/s | 20.0 op/s | 3.00× |"} {
		if !strings.Contains(got, want) {
			t.Errorf("no line %q in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "ours alone") {
		t.Error("a figure that has no pair is compared")
	}
}

func TestRepeatDoesEachOnce(t *testing.T) {
	seen := make(chan int64, 100)
	if err := repeat(t.Context(), 7, 100, func(_ context.Context, i int64) error { seen <- i; return nil }); err != nil {
		t.Fatal(err)
	}
	close(seen)
	sum := int64(0)
	for i := range seen {
		sum += i
	}
	if sum != 5050 {
		t.Errorf("the numbers done add up to %d, not 5050", sum)
	}
}

func TestDriveEndsWithTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	_, err := drive(t.Context(), 4, time.Hour, func(_ context.Context, i int64) error {
		if i == 20 {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("drive gives %v", err)
	}
}

func TestLoadCountsWhatFails(t *testing.T) {
	broken := false
	for _, keepAlive := range []bool{false, true} {
		asked := make(chan struct{}, 10_000)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if broken {
				w.WriteHeader(http.StatusBadGateway)
			}
			select {
			case asked <- struct{}{}:
			default:
			}
		}))
		l := startLoad(t.Context(), server.URL, keepAlive)
		for range 20 {
			<-asked
		}
		made, failed := l.end()
		server.Close()
		if made == 0 || broken != (failed == made) || !broken && failed != 0 {
			t.Errorf("keep-alive %v, broken %v: %d requests made, %d failed", keepAlive, broken, made, failed)
		}
		broken = true
	}
}
