package client

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/api"
)

// Selection narrows what an informer watches; the zero value is everything.
type Selection struct {
	Namespace string
	Fields    string // a field selector, such as "spec.nodeName=n1"
	Labels    string // a label selector
}

// Informers is the set of informers of one process (or one identity): at most
// one per kind and selection. Ask for informers, then Start; one asked for
// later starts at once.
type Informers struct {
	client *Client
	logger *slog.Logger

	mu struct {
		sync.Mutex
		cores map[coreKey]*core
		ctx   context.Context // set by Start
	}
	running sync.WaitGroup
}

type coreKey struct {
	kind *api.Kind
	sel  Selection
}

// NewInformers makes an empty set that reads through the client.
func NewInformers(c *Client, logger *slog.Logger) *Informers {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	inf := &Informers{client: c, logger: logger}
	inf.mu.cores = make(map[coreKey]*core)
	return inf
}

// Start runs all informers until ctx ends. It does not block.
func (inf *Informers) Start(ctx context.Context) {
	inf.mu.Lock()
	defer inf.mu.Unlock()
	if inf.mu.ctx != nil {
		return
	}
	inf.mu.ctx = ctx
	for _, c := range inf.mu.cores {
		inf.runLocked(c)
	}
}

// Wait blocks until every informer has stopped, after the end of Start's ctx.
func (inf *Informers) Wait() { inf.running.Wait() }

// WaitSynced blocks until every informer asked for so far holds the state
// that it found at its start.
func (inf *Informers) WaitSynced(ctx context.Context) error {
	inf.mu.Lock()
	cores := make([]*core, 0, len(inf.mu.cores))
	for _, c := range inf.mu.cores {
		cores = append(cores, c)
	}
	inf.mu.Unlock()
	for _, c := range cores {
		if err := c.waitSynced(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (inf *Informers) runLocked(c *core) {
	ctx, end := context.WithCancel(inf.mu.ctx)
	c.end = end
	inf.running.Go(func() {
		defer end()
		c.run(ctx)
	})
}

// Forget ends the informers of a kind that is served no more, as when the
// definition of a custom resource changes. What they hold can still be read.
func (inf *Informers) Forget(kind *api.Kind) {
	inf.mu.Lock()
	defer inf.mu.Unlock()
	for key, c := range inf.mu.cores {
		if key.kind != kind {
			continue
		}
		delete(inf.mu.cores, key)
		close(c.over)
		if c.end != nil {
			c.end()
		}
	}
}

func (inf *Informers) core(kind *api.Kind, sel Selection) *core {
	inf.mu.Lock()
	defer inf.mu.Unlock()
	key := coreKey{kind: kind, sel: sel}
	if c := inf.mu.cores[key]; c != nil {
		return c
	}
	c := newCore(inf.client, kind, sel, inf.logger)
	inf.mu.cores[key] = c
	if inf.mu.ctx != nil {
		inf.runLocked(c)
	}
	return c
}

// Informer holds the objects of one kind as the server last told, and calls
// handlers for every change. Reads are safe for concurrent use and see a
// change before its handlers are called.
type Informer[T api.Object] struct{ core *core }

// InformerFor is the shared informer of all objects of T's kind. It panics
// when the catalogue lacks the kind, which is a mistake of the program.
func InformerFor[T api.Object](inf *Informers) *Informer[T] {
	return InformerWith[T](inf, Selection{})
}

// InformerWith is the shared informer of the selected objects of T's kind.
func InformerWith[T api.Object](inf *Informers, sel Selection) *Informer[T] {
	var none T
	kind := inf.client.catalog.TypeOf(none)
	if kind == nil {
		panic(fmt.Sprintf("no kind of the catalogue has the type %T", none))
	}
	return &Informer[T]{core: inf.core(kind, sel)}
}

// InformerOf is the shared informer of a kind known only at run time; it is
// the same one that InformerFor gives for the kind's type.
func InformerOf(inf *Informers, kind *api.Kind) *Informer[api.Object] {
	return &Informer[api.Object]{core: inf.core(kind, Selection{})}
}

// Kind is what the informer holds.
func (i *Informer[T]) Kind() *api.Kind { return i.core.kind }

// Get reads one object.
func (i *Informer[T]) Get(namespace, name string) (T, bool) {
	obj, ok := i.core.store.get(Key{Namespace: namespace, Name: name})
	if !ok {
		var none T
		return none, false
	}
	return obj.(T), true
}

// List reads the objects of a namespace (empty: of all) that the selector
// takes, in no particular order. A nil selector takes all.
func (i *Informer[T]) List(namespace string, selector labels.Selector) []T {
	return typed[T](i.core.store.list(namespace, selector))
}

// Len is the number of objects held.
func (i *Informer[T]) Len() int { return i.core.store.len() }

// AddIndex keeps the objects findable by the values that fn gives; fn must be
// pure. Adding a name twice keeps the first. Safe at any time, cheapest
// before start.
func (i *Informer[T]) AddIndex(index string, fn func(T) []string) {
	i.core.store.addIndex(index, func(obj api.Object) []string { return fn(obj.(T)) })
}

// ByIndex reads the objects that have the value in the index, in no
// particular order.
func (i *Informer[T]) ByIndex(index, value string) []T {
	return typed[T](i.core.store.byIndex(index, value))
}

// OnChange calls fn for every change, in order and from one goroutine: old is
// the zero value for a new object, new for a deleted one. Objects held
// already are told as new ones before OnChange returns. fn must not block.
func (i *Informer[T]) OnChange(fn func(old, new T)) {
	i.core.addHandler(func(old, new api.Object) {
		var o, n T
		if old != nil {
			o = old.(T)
		}
		if new != nil {
			n = new.(T)
		}
		fn(o, n)
	})
}

// HasSynced tells whether the state found at the start is held and its
// handlers were called.
func (i *Informer[T]) HasSynced() bool { return i.core.hasSynced() }

// WaitSynced blocks until HasSynced; an error where that will never be.
func (i *Informer[T]) WaitSynced(ctx context.Context) error { return i.core.waitSynced(ctx) }

// Seen is the newest revision that the informer knows to have passed: a
// change up to it is visible here.
func (i *Informer[T]) Seen() uint64 { return i.core.store.seen() }

func typed[T api.Object](objs []api.Object) []T {
	out := make([]T, len(objs))
	for i, obj := range objs {
		out[i] = obj.(T)
	}
	return out
}
