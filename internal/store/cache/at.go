package cache

import (
	"context"
	"sync"
	"time"

	"github.com/knarr-io/knarr/internal/store"
)

// At is the state as of a revision: from the history in memory where that
// reaches back so far, else from the store's. It fails with store.ErrTooOld
// where the store has compacted it, and with store.ErrFuture where the revision has not been
// applied here. Zero means the newest.
func (r *Resource) At(ctx context.Context, rev store.Revision) (Snapshot, error) {
	r = r.now()
	if rev == 0 {
		return r.Snapshot(), nil
	}
	if rev > r.cache.Revision() {
		return Snapshot{}, store.ErrFuture
	}
	// What memory still holds of compacted states nobody gets: a token that
	// could not be used after a restart must not seem to last.
	if rev < r.cache.store.Oldest() {
		return Snapshot{}, store.ErrTooOld
	}
	if kept := r.past.find(rev); kept != nil {
		return *kept, nil
	}
	past, ok := r.rewind(rev)
	if !ok {
		var err error
		if past, err = r.recall(ctx, rev); err != nil {
			return Snapshot{}, err
		}
	} else {
		r.past.keep(past)
	}
	r.cache.scheduleExpiry(keepPast)
	return *past, nil
}

// recall reads a state from the store, which decodes all of the resource: one
// after the other, however many ask.
func (r *Resource) recall(ctx context.Context, rev store.Revision) (*Snapshot, error) {
	select {
	case r.past.reading <- struct{}{}:
		defer func() { <-r.past.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if kept := r.past.find(rev); kept != nil {
		return kept, nil // somebody else has asked for it
	}
	past, err := r.cache.read(ctx, r, rev)
	if err == nil {
		r.past.keep(past)
	}
	return past, err
}

// rewind takes the newest state and undoes what happened after rev.
func (r *Resource) rewind(rev store.Revision) (*Snapshot, bool) {
	s, undo, ok := r.since(rev)
	if !ok {
		return nil, false
	}
	for i := len(undo) - 1; i >= 0; i-- {
		for j := len(undo[i]) - 1; j >= 0; j-- {
			ev := undo[i][j]
			if ev.Type == Deleted {
				s.replace(nil, ev.Old)
				continue
			}
			s.replace(ev.Item, ev.Old)
		}
	}
	return r.snapshotOf(s, rev), true
}

// since is a copy of the newest state and all events after rev.
func (r *Resource) since(rev store.Revision) (s *state, events [][]Event, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cursor, ok := r.all.history.seek(rev)
	if !ok {
		return nil, nil, false
	}
	for cursor < r.all.history.end {
		run, _ := r.all.history.read(cursor)
		events = append(events, run)
		cursor += uint64(len(run))
	}
	return r.live.clone(), events, true
}

const (
	// keepPast is how long an old state is kept after its last use: paginated
	// lists ask for the same one again and again.
	keepPast = time.Minute
	// maxPast bounds the old states of one resource.
	maxPast = 4
)

// pastStates remembers the old states that were asked for lately.
type pastStates struct {
	reading chan struct{} // is full while one is read from the store

	mu   sync.Mutex
	kept []pastState // guarded by mu; least recently used first
}

type pastState struct {
	snapshot *Snapshot
	used     time.Time
}

func (p *pastStates) find(rev store.Revision) *Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, k := range p.kept {
		if k.snapshot.revision == rev {
			p.kept = append(append(p.kept[:i], p.kept[i+1:]...), pastState{k.snapshot, time.Now()})
			return k.snapshot
		}
	}
	return nil
}

func (p *pastStates) keep(s *Snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.kept) == maxPast {
		p.kept = append(p.kept[:0:0], p.kept[1:]...)
	}
	p.kept = append(p.kept, pastState{s, time.Now()})
}

// trim forgets what was not used for a while and tells when it has to be
// called again.
func (p *pastStates) trim(now time.Time) (next time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	drop := 0
	for drop < len(p.kept) && now.Sub(p.kept[drop].used) >= keepPast {
		drop++
	}
	if drop > 0 {
		p.kept = append([]pastState(nil), p.kept[drop:]...)
	}
	if len(p.kept) == 0 {
		return time.Time{}, false
	}
	return p.kept[0].used.Add(keepPast), true
}
