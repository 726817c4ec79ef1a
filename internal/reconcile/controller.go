package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

// Key is the usual key: an object's namespace and name.
type Key = types.NamespacedName

// Result says what comes after a run without an error.
type Result struct {
	// RequeueAfter runs the key again so much later; zero does not.
	RequeueAfter time.Duration
}

// Options of a controller; the zero value is a good choice.
type Options struct {
	// Workers that run at once; 1 when zero.
	Workers int
	// MinBackoff and MaxBackoff bound the pause after failures; 5 ms and
	// 5 minutes when zero.
	MinBackoff, MaxBackoff time.Duration
	Logger                 *slog.Logger
	// Metrics may be nil.
	Metrics *Metrics
}

// Controller runs a function for keys. Make it with New.
type Controller[K comparable] struct {
	name  string
	fn    func(context.Context, K) (Result, error)
	opts  Options
	queue *queue[K]
	runs  atomic.Uint64

	mu struct {
		sync.Mutex
		failures map[K]int
	}
}

// New makes a controller; Run starts it. Keys may be enqueued before.
func New[K comparable](name string, fn func(context.Context, K) (Result, error), opts Options) *Controller[K] {
	if opts.Workers <= 0 {
		opts.Workers = 1
	}
	if opts.MinBackoff <= 0 {
		opts.MinBackoff = 5 * time.Millisecond
	}
	if opts.MaxBackoff <= 0 {
		opts.MaxBackoff = 5 * time.Minute
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Controller[K]{name: name, fn: fn, opts: opts, queue: newQueue[K]()}
	c.mu.failures = make(map[K]int)
	return c
}

// Enqueue makes a key due now.
func (c *Controller[K]) Enqueue(key K) {
	if c.queue.add(key) {
		c.opts.Metrics.added(c.name, c.queue.len())
	}
}

// EnqueueAfter makes a key due later; the earlier of two times counts.
func (c *Controller[K]) EnqueueAfter(key K, d time.Duration) { c.queue.addAfter(key, d) }

// Run works until ctx ends and every run under way has returned.
func (c *Controller[K]) Run(ctx context.Context) {
	stop := context.AfterFunc(ctx, c.queue.close)
	defer stop()
	var workers sync.WaitGroup
	for range c.opts.Workers {
		workers.Go(func() {
			for c.one(ctx) {
			}
		})
	}
	workers.Wait()
}

// Source is what a controller decides by, an informer mostly.
type Source interface {
	// WaitSynced blocks until the source knows the present; it fails when ctx
	// ends.
	WaitSynced(ctx context.Context) error
}

// RunSynced is Run from when all sources know the present: decisions by a part
// of the world would be wrong.
func (c *Controller[K]) RunSynced(ctx context.Context, sources ...Source) {
	for _, s := range sources {
		if s.WaitSynced(ctx) != nil {
			return
		}
	}
	c.Run(ctx)
}

// one works on the next key; false when the queue is closed.
func (c *Controller[K]) one(ctx context.Context) bool {
	key, waited, ok := c.queue.next()
	if !ok {
		return false
	}
	defer c.queue.done(key)
	begun := time.Now()
	logger := c.opts.Logger.With("controller", c.name, "key", key, "reconcile", c.runs.Add(1))
	result, err := c.guarded(withLogger(ctx, logger), key)
	outcome := c.settle(ctx, logger, key, result, err)
	c.opts.Metrics.ran(c.name, outcome, waited, time.Since(begun), c.queue.len())
	return true
}

// settle decides when the key comes again, and names the outcome.
func (c *Controller[K]) settle(ctx context.Context, logger *slog.Logger, key K, result Result, err error) string {
	switch {
	case err == nil:
		c.forget(key)
		if result.RequeueAfter > 0 {
			c.queue.addAfter(key, result.RequeueAfter)
			return "requeue_after"
		}
		return "success"
	case ctx.Err() != nil:
		return "canceled"
	case errors.Is(err, errTerminal):
		c.forget(key)
		logger.Error("reconcile failed for good", "error", err)
		return "terminal"
	}
	pause := c.failed(key)
	c.queue.addAfter(key, pause)
	if apierrors.IsConflict(err) {
		logger.Debug("reconcile met a newer object", "error", err, "again_in", pause)
		return "conflict"
	}
	logger.Warn("reconcile failed", "error", err, "again_in", pause)
	return "error"
}

// guarded turns a panic into an error.
func (c *Controller[K]) guarded(ctx context.Context, key K) (result Result, err error) {
	defer func() {
		if r := recover(); r != nil {
			Logger(ctx).Error("reconcile panicked", "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return c.fn(ctx, key)
}

// failed counts a failure and gives the pause before the next try.
func (c *Controller[K]) failed(key K) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.mu.failures[key]
	c.mu.failures[key] = n + 1
	if n > 40 { // beyond every bound, and no overflow
		return c.opts.MaxBackoff
	}
	pause := c.opts.MinBackoff << n
	if pause <= 0 || pause > c.opts.MaxBackoff {
		return c.opts.MaxBackoff
	}
	return pause
}

func (c *Controller[K]) forget(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.mu.failures, key)
}

var errTerminal = errors.New("terminal")

// Terminal marks an error that trying again cannot cure: the key is left
// alone until it is enqueued anew.
func Terminal(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errTerminal, err)
}

type loggerKey struct{}

// withLogger hands a logger down.
func withLogger(ctx context.Context, logger *slog.Logger) context.Context {
	return context.WithValue(ctx, loggerKey{}, logger)
}

// Logger is the run's logger, which names controller, key and run; outside of
// a run it discards.
func Logger(ctx context.Context) *slog.Logger {
	if l, ok := ctx.Value(loggerKey{}).(*slog.Logger); ok {
		return l
	}
	return slog.New(slog.DiscardHandler)
}
