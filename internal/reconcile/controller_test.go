package reconcile

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// start runs a controller in the current synctest bubble until the test ends.
func start(t *testing.T, c *Controller[string]) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

func TestKeyNeverRunsTwiceAtOnceAndAgainWhenAddedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most, runs atomic.Int32
		c := New("c", func(context.Context, string) (Result, error) {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second) // virtual
			running.Add(-1)
			runs.Add(1)
			return Result{}, nil
		}, Options{Workers: 4})
		start(t, c)
		c.Enqueue("a")
		synctest.Wait()
		for range 10 {
			c.Enqueue("a")
		}
		time.Sleep(10 * time.Second)
		if most.Load() != 1 || runs.Load() != 2 {
			t.Errorf("at once %d, runs %d; want 1, 2", most.Load(), runs.Load())
		}
	})
}

func TestBackoffDoublesWithinBoundsAndForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var at []time.Duration
		c := New("c", func(context.Context, string) (Result, error) {
			at = append(at, time.Since(begun))
			if len(at) == 6 || len(at) == 8 {
				return Result{}, nil
			}
			return Result{}, errors.New("no")
		}, Options{MinBackoff: time.Second, MaxBackoff: 4 * time.Second})
		start(t, c)
		c.Enqueue("a")
		time.Sleep(time.Minute)
		c.Enqueue("a")
		time.Sleep(time.Minute)
		synctest.Wait()
		want := []time.Duration{0, 1, 3, 7, 11, 15, 60, 61}
		for i := range want {
			want[i] *= time.Second
		}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRequeueAfterTakesTheEarlierTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var at []time.Duration
		c := New("c", func(context.Context, string) (Result, error) {
			at = append(at, time.Since(begun))
			return Result{}, nil
		}, Options{})
		start(t, c)
		c.EnqueueAfter("a", 10*time.Second)
		c.EnqueueAfter("a", 3*time.Second)
		c.EnqueueAfter("a", 20*time.Second)
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]time.Duration{3 * time.Second}, at); diff != "" {
			t.Error(diff)
		}
	})
}

func TestOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		m, err := NewMetrics(reg)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		seen := map[string]int{}
		c := New("c", func(_ context.Context, key string) (Result, error) {
			mu.Lock()
			seen[key]++
			n := seen[key]
			mu.Unlock()
			switch {
			case key == "terminal":
				return Result{}, Terminal(errors.New("never"))
			case key == "panic" && n == 1:
				panic("oh")
			case key == "later" && n == 1:
				return Result{RequeueAfter: time.Second}, nil
			}
			return Result{}, nil
		}, Options{Workers: 2, Metrics: m})
		start(t, c)
		for _, key := range []string{"terminal", "panic", "later"} {
			c.Enqueue(key)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff(map[string]int{"terminal": 1, "panic": 2, "later": 2}, seen); diff != "" {
			t.Error(diff)
		}
		for outcome, want := range map[string]float64{"terminal": 1, "error": 1, "requeue_after": 1, "success": 2} {
			if got := testutil.ToFloat64(m.reconcile.WithLabelValues("c", outcome)); got != want {
				t.Errorf("%s: %v, want %v", outcome, got, want)
			}
		}
	})
}

func TestRunReturnsWhenContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New("c", func(ctx context.Context, _ string) (Result, error) {
			<-ctx.Done()
			return Result{}, ctx.Err()
		}, Options{Workers: 3})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); c.Run(ctx) }()
		c.Enqueue("a")
		c.EnqueueAfter("b", time.Hour)
		synctest.Wait()
		cancel()
		<-done
		c.Enqueue("c") // no effect, no panic
	})
}

// A machine that sleeps stops the clock that timers go by, not the time of day
// that keys are due at. When the clock is set back they wait as they did.
func TestDelaysPassWhileTheMachineSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var offset atomic.Int64
		ran := map[string]time.Duration{}
		c := New("c", func(_ context.Context, key string) (Result, error) {
			ran[key] = time.Since(begun)
			return Result{}, nil
		}, Options{})
		c.queue.clock = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
		start(t, c)
		c.EnqueueAfter("soon", 10*time.Minute)
		c.EnqueueAfter("late", 5*time.Hour)
		time.Sleep(5*time.Minute + time.Second)
		offset.Add(int64(2 * time.Hour))
		c.EnqueueAfter("after", 3*time.Hour) // also what is asked for before anybody saw it
		time.Sleep(2 * time.Hour)
		offset.Add(-int64(time.Hour))
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		want := map[string]time.Duration{"soon": 5*time.Minute + time.Second, "after": 3*time.Hour + 5*time.Minute + time.Second, "late": 3 * time.Hour}
		if diff := cmp.Diff(want, ran); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
