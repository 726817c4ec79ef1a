package resourcemetrics

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// machine answers as a node whose container uses half a processor.
type machine struct {
	asked atomic.Int64
	down  atomic.Bool
	hangs atomic.Bool
}

func (m *machine) ask(ctx context.Context, _ *corev1.Node, path string) (*http.Response, error) {
	m.asked.Add(1)
	switch {
	case m.hangs.Load():
		<-ctx.Done()
		return nil, ctx.Err()
	case m.down.Load():
		return nil, errors.New("connection refused")
	case path != "/metrics/resource":
		return nil, errors.New("nobody serves " + path)
	}
	now := time.Now()
	body := answerOf(now, float64(now.UnixMilli())/2000)
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// collect runs fn beside a collector of one machine, in virtual time.
func collect(t *testing.T, fn func(t *testing.T, c *Collector, m *machine)) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{}
		node := func(name string) *corev1.Node {
			if name == "gone" {
				return nil
			}
			return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		}
		c := NewCollector(m.ask, node, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- c.Run(ctx) }()
		synctest.Wait()
		fn(t, c, m)
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}

func ask(c *Collector, t *testing.T, name string, after time.Time) window {
	return c.Windows(t.Context(), map[string]time.Time{name: after})[name]
}

func TestNodesAreAskedWhileSomebodyWantsToKnow(t *testing.T) {
	collect(t, func(t *testing.T, c *Collector, m *machine) {
		began := time.Now()
		w := ask(c, t, "n1", time.Time{})
		if took := time.Since(began); took != firstWindow || !w.complete() {
			t.Errorf("the first answer took %v: %v", took, w)
		}
		if u, ok := w.node(); !ok || u.usage.Cpu().MilliValue() != 500 || u.window != time.Second {
			t.Errorf("the first figure: %v %v", u, ok)
		}
		for range 20 { // an autoscaler
			time.Sleep(15 * time.Second)
			began := time.Now()
			w = ask(c, t, "n1", time.Time{})
			if took := time.Since(began); took != 0 {
				t.Errorf("a later answer took %v", took)
			}
		}
		if u, ok := w.node(); !ok || u.window != every || u.usage.Cpu().MilliValue() != 500 {
			t.Errorf("a later figure: %v %v", u, ok)
		}
		if n := m.asked.Load(); n < 20 || n > 23 {
			t.Errorf("in 300 seconds the node was asked %d times", n)
		}
		time.Sleep(interest + every + time.Second)
		before := m.asked.Load()
		time.Sleep(time.Hour)
		if n := m.asked.Load() - before; n != 0 {
			t.Errorf("nobody wanted to know for an hour, and the node was asked %d times", n)
		}
	})
}

func TestWhatStartedSinceIsSampled(t *testing.T) {
	collect(t, func(t *testing.T, c *Collector, m *machine) {
		ask(c, t, "n1", time.Time{})
		time.Sleep(5 * time.Second)
		now := time.Now()
		if w := ask(c, t, "n1", now); w.last.at.Before(now) {
			t.Errorf("sampled at %v, wanted from %v on", w.last.at, now)
		}
		if n := m.asked.Load(); n != 3 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestNodesThatDoNotAnswer(t *testing.T) {
	collect(t, func(t *testing.T, c *Collector, m *machine) {
		m.down.Store(true)
		if w := ask(c, t, "n1", time.Time{}); w.last != nil {
			t.Errorf("a window of a node that is down: %v", w)
		}
		m.down.Store(false)
		time.Sleep(every + firstWindow + time.Second)
		if w := ask(c, t, "n1", time.Time{}); !w.complete() {
			t.Error("a node that is back has no window")
		}
		m.hangs.Store(true)
		began := time.Now()
		if w := ask(c, t, "n2", time.Time{}); w.last != nil || time.Since(began) != patience {
			t.Errorf("a node that hangs held the answer up for %v: %v", time.Since(began), w)
		}
		began = time.Now()
		if w := ask(c, t, "gone", time.Time{}); w.last != nil || time.Since(began) != 0 {
			t.Errorf("a node that is gone: %v", w)
		}
	})
}

func TestStoppedCollectorTellsNothing(t *testing.T) {
	m := &machine{}
	c := NewCollector(m.ask, func(string) *corev1.Node { return nil }, slog.New(slog.DiscardHandler))
	if got := c.Windows(t.Context(), map[string]time.Time{"n1": {}}); len(got) != 0 || m.asked.Load() != 0 {
		t.Errorf("%v, asked %d times", got, m.asked.Load())
	}
}
