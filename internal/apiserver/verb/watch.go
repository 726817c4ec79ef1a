package verb

import (
	"context"
	stderrors "errors"
	"io"
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/apiserver/listing"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

const (
	// bookmarkEvery is how often an idle watch is told how far it is.
	bookmarkEvery = time.Minute
	// initialBatch bounds the events of the state that are sent at once.
	initialBatch = 512
)

// Event is one event of a watch. For a bookmark there is neither Item nor
// Object, and Revision is how far the watch is.
type Event struct {
	Type watch.EventType
	Item *cache.Item
	// Object stands in for Item where an object left the watch without being
	// deleted: its last matching state, as the kind asked for, at the revision
	// of the change.
	Object   api.Object
	Revision store.Revision
	// InitialEnd marks the bookmark behind the state.
	InitialEnd bool
}

// Watch is a running watch. Only one goroutine may use it.
type Watch struct {
	Kind *api.Kind

	handler  *Handler
	query    listing.Query
	events   *cache.Watch
	initial  []*cache.Item // still to be sent
	from     store.Revision
	started  bool // the state and its end were sent
	deadline time.Time
	bookmark time.Time
	out      []Event
	bound    bound
}

// bound is the context of the last wait, kept as long as it serves: making
// one costs more than an event.
type bound struct {
	parent, ctx context.Context
	cancel      context.CancelFunc
	until       time.Time
}

func (b *bound) within(parent context.Context, until time.Time) context.Context {
	if b.parent != parent || !b.until.Equal(until) {
		b.end()
		b.parent, b.until = parent, until
		b.ctx, b.cancel = context.WithDeadline(parent, until)
	}
	return b.ctx
}

func (b *bound) end() {
	if b.cancel != nil {
		b.cancel()
	}
	*b = bound{}
}

// Watch starts a watch. ctx bounds only the start.
func (h *Handler) Watch(ctx context.Context, req *request.Request) (*Watch, error) {
	t, err := h.target(req)
	if err != nil {
		return nil, err
	}
	if t.resource == nil || req.Subresource != "" {
		return nil, MethodNotAllowed()
	}
	return h.beginWatch(ctx, t)
}

func (h *Handler) beginWatch(ctx context.Context, t *target) (*Watch, error) {
	q, err := watchQuery(t)
	if err != nil {
		return nil, err
	}
	if q.SendInitial {
		if err := h.waitFor(ctx, q.Revision); err != nil {
			return nil, err
		}
	}
	w := &Watch{Kind: t.kind, handler: h, query: q, from: q.Revision, started: !q.SendInitial}
	if q.SendInitial {
		snap := t.resource.Snapshot()
		w.from = snap.Revision()
		all := q
		all.Limit, all.AfterNamespace, all.AfterName = 0, "", ""
		if err := h.shapeList(ctx, t.kind, snap, all); err != nil {
			return nil, err
		}
		w.initial = collect(snap, t.kind, all).Items
	}
	w.events, err = follow(t, &q.Selector, w.from)
	switch {
	case stderrors.Is(err, store.ErrClosed) && h.Cache.Of(t.kind) == nil:
		return nil, NotServed() // its definition went meanwhile
	case stderrors.Is(err, store.ErrClosed):
		return nil, errors.NewServiceUnavailable("the server is shutting down")
	case err != nil:
		return nil, watchError(err, w.from)
	}
	w.deadline = time.Now().Add(lifetime(q))
	w.bookmark = time.Now().Add(bookmarkEvery)
	return w, nil
}

// follow watches the objects that can match: where the selector fixes a name
// or an indexed field, no others, so that what happens to them costs nothing.
func follow(t *target, s *listing.Selector, after store.Revision) (*cache.Watch, error) {
	scope, ok := scopeOf(t.kind, s)
	if !ok {
		return t.resource.Watch(after)
	}
	w, ok, err := t.resource.WatchScope(after, scope)
	if !ok {
		return t.resource.Watch(after)
	}
	return w, err
}

// scopeOf is the narrowest part of the resource that holds every object that
// the selector can match; ok is false where that may be any object.
func scopeOf(k *api.Kind, s *listing.Selector) (scope cache.Scope, ok bool) {
	if s.Name != "" && (s.Namespace != "" || !s.Namespaced()) {
		return cache.Scope{Namespace: s.Namespace, Name: s.Name}, true
	}
	scope.Field, scope.Value, ok = indexed(k, s)
	return scope, ok
}

func watchQuery(t *target) (listing.Query, error) {
	q, err := listing.Parse(t.kind, t.req.Namespace, t.req.ListOptions, true)
	if err != nil {
		if errors.ReasonForError(err) == metav1.StatusReasonUnknown {
			return q, plainError(err)
		}
		return q, err
	}
	if t.req.Name != "" {
		q.Selector.Restrict(t.req.Name)
	}
	return q, nil
}

func lifetime(q listing.Query) time.Duration {
	if q.Timeout > 0 {
		return time.Duration(q.Timeout) * time.Second
	}
	return limits.WatchLeast + rand.N(limits.WatchMost-limits.WatchLeast)
}

// watchError is what a client of a watch is told.
func watchError(err error, from store.Revision) error {
	switch {
	case stderrors.Is(err, store.ErrTooOld):
		return errors.NewResourceExpired("too old resource version: " + cache.FormatRevision(from))
	case stderrors.Is(err, store.ErrClosed):
		return io.EOF
	}
	return err
}

// Next blocks until events are there and returns those that are ready; the
// slice is valid until the next call. It ends with io.EOF in good order, with
// an API status error, or with ctx's error.
func (w *Watch) Next(ctx context.Context) ([]Event, error) {
	w.out = w.out[:0]
	if !w.started {
		if w.sendState(); len(w.out) > 0 {
			return w.out, nil
		}
	}
	for {
		if !time.Now().Before(w.deadline) {
			return nil, io.EOF
		}
		until := w.deadline
		if w.query.Bookmarks && w.bookmark.Before(until) {
			until = w.bookmark
		}
		events, err := w.wait(ctx, until)
		if err != nil {
			return nil, err
		}
		if err := w.shape(ctx, events); err != nil {
			return nil, err
		}
		for i := range events {
			w.translate(&events[i])
		}
		if w.query.Bookmarks && len(events) == 0 && !time.Now().Before(w.bookmark) {
			w.bookmark = time.Now().Add(bookmarkEvery)
			w.out = append(w.out, Event{Type: watch.Bookmark, Revision: w.events.Position()})
		}
		if len(w.out) > 0 {
			return w.out, nil
		}
	}
}

// wait blocks for events until the time; none and no error means that the
// time came first.
func (w *Watch) wait(ctx context.Context, until time.Time) ([]cache.Event, error) {
	events, err := w.events.Next(w.bound.within(ctx, until))
	if err == nil {
		return events, nil
	}
	w.bound.end()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case stderrors.Is(err, context.DeadlineExceeded):
		return nil, nil
	}
	return nil, watchError(err, w.events.Position())
}

// shape makes sure that events can be shown as the kind asked for.
func (w *Watch) shape(ctx context.Context, events []cache.Event) error {
	if w.Kind.Custom == nil || w.Kind.Custom.Convert == nil {
		return nil
	}
	items := make([]*cache.Item, 0, 2*len(events))
	for _, ev := range events {
		items = append(items, ev.Item, ev.Old)
	}
	return w.handler.shape(ctx, w.Kind, items...)
}

// sendState gives the next part of the state, and its end behind the last.
func (w *Watch) sendState() {
	n := min(len(w.initial), initialBatch)
	for _, item := range w.initial[:n] {
		w.out = append(w.out, Event{Type: watch.Added, Item: item, Revision: item.Revision})
	}
	w.initial = w.initial[n:]
	if len(w.initial) > 0 {
		return
	}
	w.initial, w.started = nil, true
	if w.query.Bookmarks {
		w.out = append(w.out, Event{Type: watch.Bookmark, Revision: w.from, InitialEnd: true})
	}
}

// translate turns a change of the resource into what this watch sees of it:
// an object that begins to match is added, one that ceases to is deleted.
func (w *Watch) translate(ev *cache.Event) {
	s := &w.query.Selector
	is := ev.Type != cache.Deleted && s.Matches(View(w.Kind, ev.Item))
	was := ev.Old != nil && s.Matches(View(w.Kind, ev.Old))
	switch {
	case is && was:
		w.out = append(w.out, Event{Type: watch.Modified, Item: ev.Item, Revision: ev.Revision})
	case is:
		w.out = append(w.out, Event{Type: watch.Added, Item: ev.Item, Revision: ev.Revision})
	case was:
		w.out = append(w.out, left(w.Kind, ev))
	}
}

// left is the event of an object that is gone, or that matches no more.
func left(k *api.Kind, ev *cache.Event) Event {
	if ev.Type == cache.Deleted {
		return Event{Type: watch.Deleted, Item: ev.Item, Revision: ev.Revision}
	}
	last := View(k, ev.Old).DeepCopyObject().(api.Object)
	last.SetResourceVersion(cache.FormatRevision(ev.Revision))
	return Event{Type: watch.Deleted, Object: last, Revision: ev.Revision}
}

// Deadline is when the watch ends at the latest.
func (w *Watch) Deadline() time.Time { return w.deadline }

// Stop frees the watch, which must be stopped. It may be called more than
// once, from any goroutine.
func (w *Watch) Stop() { w.events.Stop() }
