// Package flow shares the server's capacity out fairly: priority and fairness
// (flowcontrol.apiserver.k8s.io/v1, KEP-1040).
//
// A FlowSchema sorts each request into a priority level and a flow (a user, or
// a namespace). A level has seats; a request takes as many as its work is
// estimated to be wide. Who finds no seat waits in one of the level's queues,
// chosen by shuffle sharding, so that one flow fills only its few queues;
// queues are served by start-time fair queuing (Goyal, Vin and Cheng, 1996),
// so that flows get equal shares of seats. What cannot wait is refused with
// the reason. Exempt levels take no seats.
//
// Seats that a level may lend (lendablePercent) lie in a pool that all levels
// take from beyond the seats that are theirs alone, up to their
// borrowingLimitPercent. A lender finds its seats again as they are given
// back, before anybody borrows more; upstream moves them every ten seconds
// instead.
//
// A Controller owns all queues and seats, under one lock that is held for
// microseconds. Configure replaces the objects while requests run: levels keep
// their seats and queues by name.
package flow

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
)

// Options say how much there is to share.
type Options struct {
	// Seats are what all limited levels share.
	Seats int
	// Wait bounds how long a request stands in a queue.
	Wait     time.Duration
	Registry prometheus.Registerer // nil: no metrics
	Logger   *slog.Logger          // nil: nothing is logged
}

// Controller decides which request is worked on when. Safe for concurrent use.
type Controller struct {
	options Options
	metrics *metrics

	schemas atomic.Pointer[[]*schema] // in order of precedence; replaced, never changed
	seed    maphash.Seed

	mu     sync.Mutex
	levels map[string]*level // guarded by mu
	order  []*level          // guarded by mu: by name
	shared pool              // guarded by mu
}

// pool are the seats that levels lend.
type pool struct{ total, used int }

// New makes a controller with upstream's default objects.
func New(o Options) (*Controller, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Controller{options: o, seed: maphash.MakeSeed(), levels: map[string]*level{}}
	var err error
	if c.metrics, err = newMetrics(o.Registry); err != nil {
		return nil, err
	}
	c.Configure(Defaults())
	return c, nil
}

// Defaults are the objects that every cluster begins with.
func Defaults() ([]*flowcontrolv1.FlowSchema, []*flowcontrolv1.PriorityLevelConfiguration) {
	return slices.Concat(bootstrap.MandatoryFlowSchemas, bootstrap.SuggestedFlowSchemas),
		slices.Concat(bootstrap.MandatoryPriorityLevelConfigurations, bootstrap.SuggestedPriorityLevelConfigurations)
}

// Configure takes other objects over. The mandatory ones are added where they
// are missing; a schema that names a level which does not exist is passed
// over.
func (c *Controller) Configure(schemas []*flowcontrolv1.FlowSchema, levels []*flowcontrolv1.PriorityLevelConfiguration) {
	schemas, levels = withMandatory(schemas, levels)
	c.mu.Lock()
	defer c.mu.Unlock()
	shares := 0
	for _, l := range levels {
		shares += sharesOf(&l.Spec)
	}
	kept := c.levels
	c.levels, c.order, c.shared.total = make(map[string]*level, len(levels)), nil, 0
	for _, config := range levels {
		l := kept[config.Name]
		if l == nil {
			l = &level{name: config.Name}
		}
		delete(kept, config.Name)
		l.configure(config, c.options.Seats, shares)
		c.levels[l.name] = l
		c.order = append(c.order, l)
		c.shared.total += l.lendable
	}
	slices.SortFunc(c.order, func(a, b *level) int { return strings.Compare(a.name, b.name) })
	compiled := compile(schemas, c.levels, c.metrics, c.seed)
	c.schemas.Store(&compiled)
	c.recountLocked()
	for _, l := range kept {
		l.dissolve(c.levels[flowcontrolv1.PriorityLevelConfigurationNameCatchAll])
	}
	c.dispatchLocked()
}

// recountLocked finds out how many seats of the pool are taken under the
// limits of now.
func (c *Controller) recountLocked() {
	c.shared.used = 0
	for _, l := range c.order {
		c.shared.used += l.borrowed()
	}
}

func withMandatory(schemas []*flowcontrolv1.FlowSchema, levels []*flowcontrolv1.PriorityLevelConfiguration) ([]*flowcontrolv1.FlowSchema, []*flowcontrolv1.PriorityLevelConfiguration) {
	schemas, levels = slices.Clone(schemas), slices.Clone(levels)
	for _, m := range bootstrap.MandatoryPriorityLevelConfigurations {
		if !slices.ContainsFunc(levels, func(l *flowcontrolv1.PriorityLevelConfiguration) bool { return l.Name == m.Name }) {
			levels = append(levels, m)
		}
	}
	for _, m := range bootstrap.MandatoryFlowSchemas {
		if !slices.ContainsFunc(schemas, func(s *flowcontrolv1.FlowSchema) bool { return s.Name == m.Name }) {
			schemas = append(schemas, m)
		}
	}
	return schemas, levels
}

// Class is where a request belongs.
type Class struct {
	Schema, Level       string
	SchemaUID, LevelUID string
	level               *level
	flow                uint64 // hash of schema and distinguisher
	flowName            string
	exempt              bool
	series              series
}

// Classify sorts a request.
func (c *Controller) Classify(d *Digest) Class {
	schemas := *c.schemas.Load()
	for _, s := range schemas {
		if s.matches(d) {
			return s.classOf(d)
		}
	}
	return schemas[len(schemas)-1].classOf(d) // the catch-all matches everybody whom others do not
}

// Refusal tells why a request was not let in.
type Refusal struct{ Level, Reason string }

func (r *Refusal) Error() string {
	return fmt.Sprintf("priority level %s: %s", r.Level, r.Reason)
}

// The reasons of refusals, as upstream's metrics name them.
const (
	reasonQueueFull = "queue-full"
	reasonLimit     = "concurrency-limit"
	reasonTimeout   = "time-out"
	reasonCancelled = "cancelled"
)

// Acquire waits for seats. It fails with a *Refusal; then nothing is held.
func (c *Controller) Acquire(ctx context.Context, class Class, seats int) (*Ticket, error) {
	t := &Ticket{controller: c, level: class.level, seats: seats, class: class}
	if class.exempt {
		class.level.exemptRunning.Add(1)
		class.series.dispatched(0)
		return t, nil
	}
	c.mu.Lock()
	waits, reason := c.enterLocked(t)
	c.mu.Unlock()
	switch {
	case reason != "":
		return nil, c.refused(class, reason)
	case !waits:
		class.series.dispatched(0)
		return t, nil
	}
	return c.wait(ctx, t)
}

// wait stands in the queue until there are seats, or patience is over.
func (c *Controller) wait(ctx context.Context, t *Ticket) (*Ticket, error) {
	started := time.Now()
	patience := time.NewTimer(c.options.Wait)
	defer patience.Stop()
	reason := reasonTimeout
	select {
	case <-t.ready:
		t.class.series.dispatched(time.Since(started))
		return t, nil
	case <-patience.C:
	case <-ctx.Done():
		reason = reasonCancelled
	}
	c.mu.Lock()
	left := t.level.leave(t)
	if left {
		c.dispatchLocked() // it may have held up those behind it
	}
	c.mu.Unlock()
	if !left { // seats came at the same moment
		t.Release()
	}
	return nil, c.refused(t.class, reason)
}

func (c *Controller) refused(class Class, reason string) error {
	c.metrics.rejected(class, reason)
	return &Refusal{Level: class.Level, Reason: reason}
}

// Ticket is a request's hold on its seats.
type Ticket struct {
	controller *Controller
	level      *level
	class      Class
	seats      int
	ready      chan struct{} // closed when a waiting ticket got its seats
	start      float64       // virtual time at which the service begins
	done       atomic.Bool   // released
}

// Release gives the seats back; it may be called more than once, and on nil.
func (t *Ticket) Release() {
	if t == nil {
		return
	}
	c := t.controller
	if t.class.exempt {
		if !t.done.Swap(true) {
			t.level.exemptRunning.Add(-1)
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.done.Swap(true) {
		return
	}
	if t.level.gone {
		return
	}
	before := t.level.borrowed()
	t.level.inUse -= t.seats
	t.level.running--
	c.shared.used -= before - t.level.borrowed()
	c.dispatchLocked()
}

// enterLocked takes seats, or a place in a queue, or refuses.
func (c *Controller) enterLocked(t *Ticket) (waits bool, reason string) {
	if t.level.gone { // the objects were replaced since the request was sorted
		t.level = c.levels[flowcontrolv1.PriorityLevelConfigurationNameCatchAll]
	}
	l := t.level
	t.seats = min(max(t.seats, 1), l.widest())
	if l.waiting == 0 && c.fitsLocked(l, t.seats) {
		c.takeLocked(t)
		return false, ""
	}
	if !l.queuing {
		return false, reasonLimit
	}
	if !l.enqueue(t) {
		return false, reasonQueueFull
	}
	return true, ""
}

// fitsLocked tells whether a level may use so many seats more: its own first,
// then those of the pool, up to its limit. Beyond its share it takes none of the
// pool's while a lender waits. A level that uses none may always begin.
func (c *Controller) fitsLocked(l *level, seats int) bool {
	if l.inUse == 0 && l.borrowedAt(seats) == 0 {
		return true
	}
	more := l.borrowedAt(l.inUse+seats) - l.borrowed()
	if more > 0 && l.inUse+seats > l.nominal && c.reclaimedLocked(l) {
		return false
	}
	return l.inUse+seats <= l.limit && c.shared.used+more <= c.shared.total
}

func (c *Controller) takeLocked(t *Ticket) {
	before := t.level.borrowed()
	t.level.inUse += t.seats
	t.level.running++
	c.shared.used += t.level.borrowed() - before
}

// dispatchLocked hands free seats to those that wait.
func (c *Controller) dispatchLocked() {
	for t := c.nextLocked(); t != nil; t = c.nextLocked() {
		t.level.pop(t)
		c.takeLocked(t)
		close(t.ready)
	}
}

// nextLocked is whose turn it is, of those that there are seats for: of the
// level that uses the least of its share. Nil where there is none.
func (c *Controller) nextLocked() *Ticket {
	var next *Ticket
	for _, l := range c.order {
		if l.waiting == 0 || next != nil && l.load() >= next.level.load() {
			continue
		}
		if t := l.next(); c.fitsLocked(l, t.seats) {
			next = t
		}
	}
	return next
}

// reclaimedLocked tells that another level waits for what it lent.
func (c *Controller) reclaimedLocked(but *level) bool {
	return slices.ContainsFunc(c.order, func(l *level) bool {
		return l != but && l.waiting > 0 && l.inUse+l.next().seats <= l.nominal
	})
}
