package disk

import (
	"context"
	"time"

	"github.com/knarr-io/knarr/internal/store"
)

// considerCompaction wakes the janitor where there is enough for it to do.
func (e *engine) considerCompaction() {
	if keep := e.options.KeepChanges; keep > 0 && uint64(e.gate.Revision())-e.oldest.Load() > uint64(keep+keep/4) {
		e.wakeJanitor()
		return
	}
	if e.options.Keep > 0 && !e.timed.Load() || e.space.wantsBallast() {
		e.wakeJanitor()
	}
}

func (e *engine) wakeJanitor() {
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// runJanitor compacts by age and by count, and keeps the ballast. Its timer
// is set only while there is history that grows too old.
func (e *engine) runJanitor() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-e.closing:
		case <-e.failure.done:
		case <-ctx.Done():
		}
		cancel()
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		e.space.makeBallast()
		if err := e.compactOld(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("compaction did not finish and is tried again later", "error", err)
		}
		timer.Stop()
		wait, ok := e.nextCompaction(time.Now())
		if ok {
			timer.Reset(wait)
		}
		e.timed.Store(ok)
		select {
		case <-e.kick:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// compactOld compacts what is over the bounds of the options.
func (e *engine) compactOld(ctx context.Context) error {
	var target store.Revision
	newest, now := e.gate.Revision(), time.Now()
	if e.options.Keep > 0 {
		e.marks.cover(newest, now)
		target = e.marks.olderThan(now.Add(-e.options.Keep))
	}
	if keep := store.Revision(max(0, e.options.KeepChanges)); keep > 0 && newest > keep {
		target = max(target, newest-keep)
	}
	if target <= e.Oldest() {
		return nil
	}
	err := e.Compact(ctx, target)
	e.marks.forget(e.Oldest())
	return err
}

// nextCompaction is how long the oldest history may stay; ok is false where
// there is none, or where age does not count.
func (e *engine) nextCompaction(now time.Time) (time.Duration, bool) {
	if e.options.Keep < 0 {
		return 0, false
	}
	at, ok := e.marks.first()
	if !ok {
		return 0, false
	}
	// Not sooner than a mark can follow another: compaction comes in gulps.
	return max(at.Add(e.options.Keep).Sub(now), markEvery), true
}
