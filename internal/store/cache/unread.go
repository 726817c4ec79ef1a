package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/knarr-io/knarr/internal/store"
)

// unread is what the follower has passed over since it began, for nobody knew
// its kind: the changes of custom resources, until their definitions are read.
// With it a kind that comes has events from before it came, and watches of
// custom resources resume after a restart, too. The cache's applying guards it.
type unread struct {
	since store.Revision            // where the follower began
	first map[string]store.Revision // by prefix, the first change; 0: earlier events are gone
}

// begin forgets everything: the follower begins at a revision.
func (u *unread) begin(at store.Revision) { u.since, u.first = at, map[string]store.Revision{} }

// pass takes note of a change of no kind.
func (u *unread) pass(key string, rev store.Revision) {
	prefix := prefixOf(key)
	if _, ok := u.first[prefix]; !ok && prefix != "" {
		u.first[prefix] = rev
	}
}

// forget says that a kind was known: its events went with it.
func (u *unread) forget(prefix string) { u.first[prefix] = 0 }

// past is the history that a kind may have which comes now. Every change up to
// through was passed over; later ones are kept aside.
type past struct {
	known          bool // else only the newest state is
	since, through store.Revision
	first          store.Revision // the first change between them; 0: there is none
}

// past is the history of a prefix, where the follower has come to applied.
func (u *unread) past(prefix string, applied store.Revision) past {
	first, passed := u.first[prefix]
	p := past{since: u.since, through: max(applied, u.since), first: first}
	p.known = p.through > 0 && (!passed || first > 1)
	return p
}

// readPast fills a resource with its history, as far as that is known and was
// not compacted meanwhile; else with its newest state. It returns the revision
// up to which the resource has everything.
func (c *Cache) readPast(ctx context.Context, r *Resource, p past) (store.Revision, error) {
	if p.known {
		err := c.replay(ctx, r, p)
		if !errors.Is(err, store.ErrTooOld) {
			return p.through, err
		}
	}
	s, rev, err := c.readState(ctx, r, 0)
	if err == nil {
		r.reset(s, rev)
	}
	return rev, err
}

// replay reads the state before the first change, and the changes as events.
func (c *Cache) replay(ctx context.Context, r *Resource, p past) error {
	at := p.through
	if p.first > 0 {
		at = p.first - 1
	}
	s, rev, err := c.readState(ctx, r, at)
	if err != nil {
		return err
	}
	changes, err := c.changes(ctx, r.prefix, rev, p.through)
	if err != nil {
		return err
	}
	r.reset(s, rev)
	r.reachBack(p.since)
	if batch := r.decodeChanges(changes); len(batch) > 0 {
		r.apply(batch, time.Now())
	}
	return nil
}

// readState reads a resource's state at a revision; zero is the newest.
func (c *Cache) readState(ctx context.Context, r *Resource, at store.Revision) (*state, store.Revision, error) {
	s := newState(r.kind)
	find := func(string) *Resource { return r }
	rev, err := c.scan(ctx, r.prefix, at, find, func(item *Item) { s.replace(nil, item) })
	return s, rev, err
}

// changes are those of keys with the prefix after one revision and up to
// another, which was reached.
func (c *Cache) changes(ctx context.Context, prefix string, after, through store.Revision) ([]store.Change, error) {
	if after >= through {
		return nil, nil
	}
	// Every revision has a change: one of all keys tells when it is time.
	watch, err := c.store.Watch(ctx, "/", after)
	if err != nil {
		return nil, fmt.Errorf("reading what happened since revision %d: %w", after, err)
	}
	defer watch.Stop()
	var found []store.Change
	for {
		batch, err := watch.Next(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading what happened since revision %d: %w", after, err)
		}
		for _, ch := range batch {
			if ch.Revision > through {
				return found, nil
			}
			if hasPrefix(ch.Key, prefix) {
				ch.Note = nil
				found = append(found, ch)
			}
			if ch.Revision == through {
				return found, nil
			}
		}
	}
}
