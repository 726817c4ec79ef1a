package client

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/request"
)

// Bounds of the pause before a watch that failed is tried again.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 30 * time.Second
	// goodWatch is how long a watch must have lasted to be renewed at once.
	goodWatch = time.Second
)

// change is one step of an informer's memory.
type change struct {
	key      Key
	old, new api.Object
	revision uint64
}

// core is an informer without its type: one goroutine (run) lists, watches,
// applies and calls the handlers.
type core struct {
	typed  Typed[api.Object]
	kind   *api.Kind
	sel    Selection
	logger *slog.Logger
	store  *objects
	synced chan struct{}
	over   chan struct{}      // closed when the set forgets it
	end    context.CancelFunc // set when it is started; guarded by the set's lock

	// streamless is set once the server refused to stream the first state;
	// only run's goroutine touches it.
	streamless bool

	// dispatch orders handler calls with the addition of handlers.
	dispatch struct {
		sync.Mutex
		handlers []func(old, new api.Object)
	}
}

func newCore(c *Client, kind *api.Kind, sel Selection, logger *slog.Logger) *core {
	return &core{
		typed: Of(c, kind), kind: kind, sel: sel, store: newObjects(), synced: make(chan struct{}), over: make(chan struct{}),
		logger: logger.With("resource", kind.Resource),
	}
}

func (c *core) hasSynced() bool {
	select {
	case <-c.synced:
		return true
	default:
		return false
	}
}

// errForgotten is told to who waits for an informer that has ended.
var errForgotten = errors.New("the resource is not served as it was any more: its informer has ended")

func (c *core) waitSynced(ctx context.Context) error {
	select {
	case <-c.synced:
		return nil
	case <-c.over:
		if c.hasSynced() {
			return nil
		}
		return errForgotten
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *core) addHandler(fn func(old, new api.Object)) {
	c.dispatch.Lock()
	defer c.dispatch.Unlock()
	c.dispatch.handlers = append(c.dispatch.handlers, fn)
	for _, obj := range c.store.list("", nil) {
		fn(nil, obj)
	}
}

// take applies changes and calls the handlers for each. A change that brings
// nothing new (a replay) is dropped.
func (c *core) take(changes []change) {
	c.dispatch.Lock()
	defer c.dispatch.Unlock()
	c.store.apply(changes)
	for _, ch := range changes {
		if ch.old == nil && ch.new == nil {
			continue
		}
		if ch.old != nil && ch.new != nil && ch.old.GetResourceVersion() == ch.new.GetResourceVersion() {
			continue
		}
		c.tell(ch)
	}
}

// tell calls the handlers. An object that was replaced by another one of its
// name is told as deleted and new.
func (c *core) tell(ch change) {
	replaced := ch.old != nil && ch.new != nil && ch.old.GetUID() != ch.new.GetUID()
	for _, fn := range c.dispatch.handlers {
		if replaced {
			fn(ch.old, nil)
			fn(nil, ch.new)
			continue
		}
		fn(ch.old, ch.new)
	}
}

// run follows the server until ctx ends.
func (c *core) run(ctx context.Context) {
	pause := time.Duration(0)
	resume := "" // the resourceVersion to go on from; empty: start afresh
	for ctx.Err() == nil {
		begun := time.Now()
		var err error
		resume, err = c.follow(ctx, resume)
		if ctx.Err() != nil {
			return
		}
		if expired(err) {
			resume = ""
		}
		if time.Since(begun) >= goodWatch {
			pause = 0
		}
		if err != nil && !errors.Is(err, io.EOF) {
			level := slog.LevelDebug
			if !c.hasSynced() {
				level = slog.LevelWarn // whoever waits for the first state would wait in silence
			}
			c.logger.Log(ctx, level, "watch ended", "kind", c.kind.GVK.Kind, "error", err, "again_in", pause)
		}
		if !sleep(ctx, jitter(pause)) {
			return
		}
		pause = min(max(pause*2, firstPause), longPause)
	}
}

// follow brings the memory up to date and watches until an error. It returns
// the revision to resume from, empty for none.
func (c *core) follow(ctx context.Context, resume string) (string, error) {
	var stream request.Stream
	var err error
	if resume == "" {
		stream, resume, err = c.begin(ctx)
	} else {
		stream, err = c.watch(ctx, resume)
	}
	if err != nil {
		return resume, err
	}
	defer stream.Stop()
	for {
		events, err := stream.Next(ctx)
		if err != nil {
			return resume, err
		}
		changes, last, err := translate(events)
		c.take(changes)
		if last != "" {
			resume = last
			c.store.saw(ParseRevision(last))
		}
		if err != nil {
			return resume, err
		}
	}
}

// begin loads the first state, streamed where the server can, and leaves a
// watch that goes on from it.
func (c *core) begin(ctx context.Context) (request.Stream, string, error) {
	if !c.streamless {
		stream, resume, err := c.streamState(ctx)
		if !refusesStreaming(err) {
			return stream, resume, err
		}
		c.streamless = true
	}
	items, resume, err := c.typed.List(ctx, c.sel.Namespace, c.options(metav1.ListOptions{}))
	if err != nil {
		return nil, "", err
	}
	c.replace(items, resume)
	stream, err := c.watch(ctx, resume)
	return stream, resume, err
}

// streamState asks for the first state as watch events that end with a
// bookmark.
func (c *core) streamState(ctx context.Context) (request.Stream, string, error) {
	yes := true
	stream, err := c.typed.Watch(ctx, c.sel.Namespace, c.options(metav1.ListOptions{
		SendInitialEvents: &yes, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true,
	}))
	if err != nil {
		return nil, "", err
	}
	state := make(map[Key]api.Object)
	for {
		events, err := stream.Next(ctx)
		if err != nil {
			stream.Stop()
			return nil, "", err
		}
		for i, ev := range events {
			if end := initialEnd(ev); end != "" {
				c.replaceSet(state, end)
				changes, last, err := translate(events[i+1:])
				c.take(changes)
				if last == "" {
					last = end
				}
				if err != nil {
					stream.Stop()
					return nil, last, err
				}
				return stream, last, nil
			}
			changes, _, err := translate(events[i : i+1])
			if err != nil {
				stream.Stop()
				return nil, "", err
			}
			for _, ch := range changes {
				if ch.new == nil {
					delete(state, ch.key)
				} else {
					state[ch.key] = ch.new
				}
			}
		}
	}
}

func (c *core) watch(ctx context.Context, resume string) (request.Stream, error) {
	return c.typed.Watch(ctx, c.sel.Namespace, c.options(metav1.ListOptions{
		ResourceVersion: resume, AllowWatchBookmarks: true,
	}))
}

func (c *core) options(opts metav1.ListOptions) metav1.ListOptions {
	opts.FieldSelector, opts.LabelSelector = c.sel.Fields, c.sel.Labels
	return opts
}

func (c *core) replace(items []api.Object, resume string) {
	state := make(map[Key]api.Object, len(items))
	for _, obj := range items {
		state[KeyOf(obj)] = obj
	}
	c.replaceSet(state, resume)
}

// replaceSet makes state the informer's memory; what is missing in it was
// deleted meanwhile.
func (c *core) replaceSet(state map[Key]api.Object, resume string) {
	var changes []change
	for _, key := range c.store.keys() {
		if _, ok := state[key]; !ok {
			changes = append(changes, change{key: key})
		}
	}
	for key, obj := range state {
		changes = append(changes, change{key: key, new: obj})
	}
	c.take(changes)
	c.store.saw(ParseRevision(resume))
	if !c.hasSynced() {
		close(c.synced)
	}
}

// translate turns watch events into changes. last is the newest
// resourceVersion among them. An error event ends it.
func translate(events []request.Event) (changes []change, last string, err error) {
	for _, ev := range events {
		if ev.Type == watch.Error {
			return changes, last, apierrors.FromObject(ev.Object)
		}
		obj, ok := ev.Object.(api.Object)
		if !ok {
			continue
		}
		last = obj.GetResourceVersion()
		ch := change{key: KeyOf(obj), revision: ParseRevision(last)}
		switch ev.Type {
		case watch.Added, watch.Modified:
			ch.new = obj
		case watch.Bookmark:
			continue
		}
		changes = append(changes, ch)
	}
	return changes, last, nil
}

// initialEnd is the resourceVersion of the bookmark that ends a streamed
// state; empty for other events.
func initialEnd(ev request.Event) string {
	obj, ok := ev.Object.(metav1.Object)
	if !ok || ev.Type != watch.Bookmark || obj.GetAnnotations()[metav1.InitialEventsAnnotationKey] != "true" {
		return ""
	}
	return obj.GetResourceVersion()
}

func expired(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err)
}

func refusesStreaming(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)
}

// jitter spreads a pause over its half and one and a half.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d/2 + time.Duration(rand.Int64N(int64(d)))
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
