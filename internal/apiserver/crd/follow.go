package crd

import (
	"context"
	"errors"
	"sync"

	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// todo are the names of definitions to look at, each once, in the order in
// which they came. What is known of them is read when they are looked at: who
// adds never waits for who looks.
type todo struct {
	// wake has a value when there may be names.
	wake chan struct{}

	mu    sync.Mutex
	names []string        // guarded by mu
	known map[string]bool // those in names; guarded by mu
}

func newTodo() *todo {
	return &todo{wake: make(chan struct{}, 1), known: map[string]bool{}}
}

// add puts names on the list.
func (t *todo) add(names ...string) {
	t.mu.Lock()
	for _, name := range names {
		if !t.known[name] {
			t.known[name] = true
			t.names = append(t.names, name)
		}
	}
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// next takes the first name off the list.
func (t *todo) next() (name string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.names) == 0 {
		return "", false
	}
	name, t.names = t.names[0], t.names[1:]
	delete(t.known, name)
	return name, true
}

// follow puts every definition that changes after a revision on the list until
// ctx ends. Definitions are large, so that a burst of changes may drop what was
// not read yet: then all are looked at.
func (c *Controller) follow(ctx context.Context, after store.Revision) error {
	for {
		err := c.followFrom(ctx, after)
		switch {
		case ctx.Err() != nil || errors.Is(err, store.ErrClosed):
			return nil
		case !errors.Is(err, store.ErrTooOld):
			return err
		}
		c.Logger.Warn("the watch of custom resource definitions fell behind, looking at all of them")
		after = c.crds.Snapshot().Revision()
		c.todo.add(c.names()...)
	}
}

func (c *Controller) followFrom(ctx context.Context, after store.Revision) error {
	watch, err := c.crds.Watch(after)
	if err != nil {
		return err
	}
	defer watch.Stop()
	for {
		events, err := watch.Next(ctx)
		if err != nil {
			return err
		}
		for _, ev := range events {
			c.todo.add(ev.Item.Object.GetName())
		}
	}
}

// names are those of all definitions, and of those that are served still.
func (c *Controller) names() []string {
	var out []string
	c.crds.Snapshot().Ascend("", "", "", func(item *cache.Item) bool {
		out = append(out, item.Object.GetName())
		return true
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.served {
		out = append(out, name)
	}
	return out
}
