// Package lifecycle starts the parts of a process in the order of what they
// need and stops them in the opposite order.
//
// A part names the parts that it needs. It is started the moment all of them
// are ready, so that independent parts start at the same time. When the
// group's context ends, or a part fails, every part is stopped only after all
// parts that need it have returned.
//
// The group owns the goroutine and the context of every part, and nothing
// else: a part's state is its own.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Part is one thing that runs for the life of a process.
type Part struct {
	Name string
	// Needs names the parts that must be ready before this one starts.
	Needs []string
	// Run works until ctx ends and calls ready once (more calls do nothing)
	// when those who need it may start. Returning nil after ready and before
	// ctx ends means that the part's work is done: it stays ready. Returning
	// nil without ready counts as ready. An error stops the group.
	Run func(ctx context.Context, ready func()) error
}

// State is where a part stands.
type State string

// The states of a part, in the order in which it goes through them.
const (
	Waiting  State = "Waiting"
	Starting State = "Starting"
	Ready    State = "Ready"
	Stopped  State = "Stopped"
	Failed   State = "Failed"
)

// Status is what is known of a part at one moment.
type Status struct {
	Name  string
	State State
	// Took is the time from the part's start until it was ready.
	Took time.Duration
	// Err is what the part failed with.
	Err error
}

// Group runs parts. Its methods are safe for concurrent use; Run is called
// once.
type Group struct {
	logger *slog.Logger
	parts  []*part
	failed chan struct{}
	ready  chan struct{}

	mu struct {
		sync.Mutex
		// firstErr is what stopped the group; set before failed is closed.
		firstErr error
		unready  int
	}
}

type part struct {
	Part
	needs, neededBy []*part
	ready, returned chan struct{}
	readyOnce       sync.Once

	mu struct {
		sync.Mutex
		status  Status
		started time.Time
	}
}

// New checks that names are unique and that needs exist and have no cycle.
func New(logger *slog.Logger, parts ...Part) (*Group, error) {
	g := &Group{logger: logger, failed: make(chan struct{}), ready: make(chan struct{})}
	g.mu.unready = len(parts)
	byName := make(map[string]*part, len(parts))
	for _, p := range parts {
		if byName[p.Name] != nil {
			return nil, fmt.Errorf("part %q is there twice", p.Name)
		}
		one := &part{Part: p, ready: make(chan struct{}), returned: make(chan struct{})}
		one.mu.status = Status{Name: p.Name, State: Waiting}
		byName[p.Name] = one
		g.parts = append(g.parts, one)
	}
	for _, p := range g.parts {
		for _, name := range p.Needs {
			need := byName[name]
			if need == nil {
				return nil, fmt.Errorf("part %q needs %q, which does not exist", p.Name, name)
			}
			p.needs = append(p.needs, need)
			need.neededBy = append(need.neededBy, p)
		}
	}
	if len(parts) == 0 {
		close(g.ready)
	}
	return g, g.checkCycles()
}

// checkCycles takes away parts whose needs are all gone until none is left.
func (g *Group) checkCycles() error {
	left := slices.Clone(g.parts)
	for len(left) > 0 {
		before := len(left)
		left = slices.DeleteFunc(left, func(p *part) bool {
			return !slices.ContainsFunc(p.needs, func(n *part) bool { return slices.Contains(left, n) })
		})
		if len(left) == before {
			return fmt.Errorf("part %q needs itself through other parts", left[0].Name)
		}
	}
	return nil
}

// Run starts the parts and blocks until all have returned. It returns nil
// when ctx ended and every part stopped in good order, else the first error.
func (g *Group) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	stop, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, p := range g.parts {
		wg.Go(func() { g.runPart(stop, p) })
	}
	go func() {
		select {
		case <-g.failed:
			cancel()
		case <-stop.Done():
		}
	}()
	wg.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.firstErr
}

// Ready is closed when every part is ready.
func (g *Group) Ready() <-chan struct{} { return g.ready }

// Status tells how every part stands, in the order given to New.
func (g *Group) Status() []Status {
	out := make([]Status, 0, len(g.parts))
	for _, p := range g.parts {
		p.mu.Lock()
		out = append(out, p.mu.status)
		p.mu.Unlock()
	}
	return out
}

// runPart takes one part through its life. stop ends when the group stops.
func (g *Group) runPart(stop context.Context, p *part) {
	defer close(p.returned)
	if !p.awaitNeeds(stop) {
		p.set(Stopped, nil)
		return
	}
	// The part outlives stop until those who need it are gone.
	ctx, cancel := context.WithCancel(context.WithoutCancel(stop))
	defer cancel()
	go func() {
		select {
		case <-stop.Done():
		case <-p.returned:
			return
		}
		for _, dependent := range p.neededBy {
			<-dependent.returned
		}
		cancel()
	}()
	p.begin()
	err := p.Run(ctx, func() { g.partReady(p) })
	g.partReturned(ctx, p, err)
}

func (p *part) awaitNeeds(stop context.Context) bool {
	for _, need := range p.needs {
		select {
		case <-need.ready:
		case <-stop.Done():
			return false
		}
	}
	return stop.Err() == nil
}

func (g *Group) partReady(p *part) {
	p.readyOnce.Do(func() {
		took := p.markReady()
		g.logger.Debug("part is ready", "part", p.Name, "took", took)
		close(p.ready)
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.mu.unready--; g.mu.unready == 0 {
			close(g.ready)
		}
	})
}

func (g *Group) partReturned(ctx context.Context, p *part, err error) {
	if err != nil && !(ctx.Err() != nil && errors.Is(err, ctx.Err())) {
		p.set(Failed, err)
		g.logger.Error("part failed", "part", p.Name, "error", err)
		g.fail(fmt.Errorf("%s: %w", p.Name, err))
		return
	}
	if ctx.Err() == nil {
		g.partReady(p) // its work is done, what it made is there
		return
	}
	p.set(Stopped, nil)
}

func (g *Group) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.firstErr == nil {
		g.mu.firstErr = err
		close(g.failed)
	}
}

func (p *part) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.started = time.Now()
	p.mu.status.State = Starting
}

func (p *part) markReady() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.status.State = Ready
	p.mu.status.Took = time.Since(p.mu.started)
	return p.mu.status.Took
}

func (p *part) set(state State, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.status.State, p.mu.status.Err = state, err
}
