package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/knarr-io/knarr/internal/app/progress"
)

// standstill is how long a cluster that comes up may show no progress. The whole
// has no bound: on a machine that is emulated or busy it takes minutes, and
// gets on all the while.
const standstill = 90 * time.Second

// patience is a context that ends when there was no news for some time. It is
// safe for concurrent use.
type patience struct {
	context.Context
	limit time.Duration
	timer *time.Timer
	end   context.CancelCauseFunc

	mu    sync.Mutex
	known map[string]bool
}

// newPatience begins to wait. stop it in the end.
func newPatience(ctx context.Context, limit time.Duration) *patience {
	p := &patience{limit: limit, known: map[string]bool{}}
	p.Context, p.end = context.WithCancelCause(ctx)
	p.timer = time.AfterFunc(limit, func() { p.end(fmt.Errorf("nothing has changed for %s", limit)) })
	return p
}

// news begins the time anew, unless it was told before: what goes to and fro
// does not get on.
func (p *patience) news(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.known[text] {
		p.known[text] = true
		p.timer.Reset(p.limit)
	}
}

func (p *patience) stop() {
	p.timer.Stop()
	p.end(nil)
}

// startWatch waits for what a start brings about, step by step, as long as it
// gets on and no service crashes.
type startWatch struct {
	*patience
	board *progress.Board
	group *errgroup.Group
	ctx   context.Context // ends with the first step that fails
	crash chan error
}

func (u *upper) watchStart(ctx context.Context) *startWatch {
	w := &startWatch{patience: newPatience(ctx, standstill), board: u.board, crash: make(chan error, 1)}
	w.group, w.ctx = errgroup.WithContext(w.patience)
	nodes := u.live()
	go func() {
		err := untilCrash(w.patience, nodes)
		w.end(err)
		w.crash <- err
	}()
	return w
}

// step shows one thing that is waited for.
func (w *startWatch) step(name string, f func(context.Context) error) {
	s := w.board.Step(name)
	w.group.Go(func() error {
		err := f(w.ctx)
		w.news(name)
		return s.End(err)
	})
}

// wait ends with the last step. What a service said when it crashed counts
// before what the steps miss because of that.
func (w *startWatch) wait() error {
	err := w.group.Wait()
	w.stop()
	if crash := <-w.crash; crash != nil && err != nil {
		return crash
	}
	return err
}

// unanswered is why something was waited for in vain: what ended the wait, and
// the last failure before.
func unanswered(ctx context.Context, last error) error {
	if last == nil || errors.Is(last, context.Canceled) {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w (%w)", last, context.Cause(ctx))
}
