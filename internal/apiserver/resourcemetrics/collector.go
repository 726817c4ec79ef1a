package resourcemetrics

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// every is how often a node is sampled while somebody wants to know.
	every = 15 * time.Second
	// firstWindow is how far apart the first two samples are.
	firstWindow = time.Second
	// interest is how long a question keeps its nodes being sampled.
	interest = time.Minute
	// patience is how long a question waits for nodes that nobody asked about
	// before.
	patience = 8 * time.Second
	// parallel bounds the nodes that are asked at a time, askTime one try.
	parallel = 32
	askTime  = 10 * time.Second
)

// Ask reads a path of a node's kubelet API as the API server. The answer's
// status is the caller's to check, its body the caller's to close.
type Ask func(ctx context.Context, node *corev1.Node, path string) (*http.Response, error)

// Collector samples nodes that somebody wants to know about. Safe for
// concurrent use; it works while the context of Run lives.
type Collector struct {
	ask    Ask
	node   func(name string) *corev1.Node // nil: it is gone
	logger *slog.Logger
	slots  chan struct{}

	mu      sync.Mutex
	ctx     context.Context     // guarded by mu; nil before Run and after
	nodes   map[string]*tracked // guarded by mu
	running sync.WaitGroup
}

// tracked is a node that is followed. All but nudge is guarded by the
// collector's mu.
type tracked struct {
	name   string
	wanted time.Time     // when somebody last asked
	window window        // what its samples tell; none after a failure
	failed bool          // the last try gave nothing
	turn   chan struct{} // closed at the end of the try that is under way, or next
	nudge  chan struct{} // asks for a sample now
}

// satisfies tells whether a question that wants a sample from a time on has
// its answer, or gets none.
func (t *tracked) satisfies(after time.Time) bool {
	return t.failed || t.window.complete() && !t.window.last.at.Before(after)
}

// NewCollector makes a collector; node looks a node up.
func NewCollector(ask Ask, node func(name string) *corev1.Node, logger *slog.Logger) *Collector {
	return &Collector{ask: ask, node: node, logger: logger, slots: make(chan struct{}, parallel), nodes: map[string]*tracked{}}
}

// Run lets the collector work until ctx ends.
func (c *Collector) Run(ctx context.Context) error {
	c.mu.Lock()
	c.ctx = ctx
	c.mu.Unlock()
	<-ctx.Done()
	c.mu.Lock()
	c.ctx = nil
	c.mu.Unlock()
	c.running.Wait()
	return nil
}

// Windows tells what is known of nodes, and makes sure that they are sampled
// from now on. since says of each node from when on a sample is wanted; the
// zero time takes any. It waits, within bounds, for nodes that are new to it
// or were sampled before that.
func (c *Collector) Windows(ctx context.Context, since map[string]time.Time) map[string]window {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c.prepare(since)
	out := make(map[string]window, len(since))
	for name, after := range since {
		if w := c.await(ctx, name, after); w.last != nil {
			out[name] = w
		}
	}
	return out
}

// prepare begins to follow the nodes that are not followed yet, so that all
// are asked at the same time.
func (c *Collector) prepare(since map[string]time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		return
	}
	for name, after := range since {
		t := c.nodes[name]
		if t == nil {
			t = &tracked{name: name, turn: make(chan struct{}), nudge: make(chan struct{}, 1)}
			c.nodes[name] = t
			ctx := c.ctx
			c.running.Go(func() { c.follow(ctx, t) })
		}
		t.wanted = time.Now()
		if !t.failed && t.window.last != nil && t.window.last.at.Before(after) {
			wake(t.nudge)
		}
	}
}

// await waits until a node's window is as wanted, and gives what there is.
func (c *Collector) await(ctx context.Context, name string, after time.Time) window {
	for {
		c.mu.Lock()
		t := c.nodes[name]
		if t == nil || ctx.Err() != nil || t.satisfies(after) {
			defer c.mu.Unlock()
			if t == nil {
				return window{}
			}
			return t.window
		}
		turn := t.turn
		c.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
		}
	}
}

// follow samples a node until nobody wants to know any more.
func (c *Collector) follow(ctx context.Context, t *tracked) {
	for {
		began := time.Now()
		s, err := c.sample(ctx, t.name)
		wait, goOn := c.took(ctx, t, s, err)
		if !goOn {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-t.nudge:
			pause(ctx, time.Until(began.Add(firstWindow)))
		}
		timer.Stop()
	}
}

// took takes in what a try gave, and says when to try again, if at all.
func (c *Collector) took(ctx context.Context, t *tracked, s *sample, err error) (wait time.Duration, goOn bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		if !t.failed && ctx.Err() == nil {
			c.logger.Info("a node does not tell its metrics", "node", t.name, "error", err)
		}
		t.window, t.failed = window{}, true
	} else {
		t.window, t.failed = t.window.with(s), false
	}
	close(t.turn)
	t.turn = make(chan struct{})
	if ctx.Err() != nil || time.Since(t.wanted) > interest {
		delete(c.nodes, t.name)
		close(t.turn)
		return 0, false
	}
	if err == nil && !t.window.complete() {
		return firstWindow, true
	}
	return every, true
}

// sample asks a node once.
func (c *Collector) sample(ctx context.Context, name string) (*sample, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	node := c.node(name)
	if node == nil {
		return nil, fmt.Errorf("node %q is gone", name)
	}
	at := time.Now()
	resp, err := c.ask(ctx, node, "/metrics/resource")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("node %q answers %s", name, resp.Status)
	}
	return read(resp.Body, at)
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
