package encryption

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/knarr-io/knarr/internal/base/filewatch"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Status tells how far the stored objects follow the configuration.
type Status struct {
	File string `json:"file"`
	// Generation counts the configurations that were taken over; the one of
	// the start is the first.
	Generation int `json:"generation"`
	// Current tells that every stored object is written as the configuration
	// says.
	Current bool `json:"current"`
	// Rewritten are the objects that were written again since the
	// configuration was taken over.
	Rewritten int `json:"rewritten"`
	// Error is why the newest file is not in use, or why objects could not be
	// written again.
	Error string `json:"error,omitempty"`
}

// Status is safe to be called at any time.
func (k *Keys) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}

func (k *Keys) setStatus(current bool, rewritten int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status = Status{File: k.file, Generation: k.generation, Current: current, Rewritten: rewritten}
	if err != nil {
		k.status.Error = err.Error()
	}
}

// Run writes objects again whose stored form is out of date, and follows the
// file, until ctx ends.
func (k *Keys) Run(ctx context.Context, objects *cache.Cache) error {
	k.reseal(ctx, objects)
	k.mu.Lock()
	known := k.current.content
	k.mu.Unlock()
	return filewatch.Follow(ctx, k.file, known, func([]byte) {
		if err := k.reload(ctx, objects); err != nil {
			k.logger.Error("the encryption configuration was not taken over", "file", k.file, "error", err)
			k.setStatus(false, 0, err)
			return
		}
		k.logger.Info("a new encryption configuration is in use", "file", k.file)
		k.mu.Lock()
		k.generation++
		k.mu.Unlock()
		k.reseal(ctx, objects)
	})
}

// reload takes the file over if everything stored can be read with it.
func (k *Keys) reload(ctx context.Context, objects *cache.Cache) error {
	next, err := load(ctx, k.file)
	if err != nil {
		return err
	}
	k.mu.Lock()
	last := k.current
	k.mu.Unlock()
	err = objects.CheckSeals(ctx, k.sealsOf(next))
	if err == nil {
		// What was written with the old keys until they were out of use is
		// looked at too.
		k.use(next)
		if err = objects.CheckSeals(ctx, k.sealsOf(next)); err != nil {
			k.use(last)
		}
	}
	if err != nil {
		next.close()
		return fmt.Errorf("%w: %w", errNotReadable, err)
	}
	last.close()
	return nil
}

// reseal brings every stored object up to date.
func (k *Keys) reseal(ctx context.Context, objects *cache.Cache) {
	k.setStatus(false, 0, nil)
	total := 0
	var failed []error
	for _, r := range objects.Resources() {
		if !k.covers(r) {
			continue
		}
		written, err := r.Reseal(ctx)
		total += written
		if err != nil && ctx.Err() == nil {
			k.logger.Error("objects could not be written again with the current key", "resource", r.Kind().GroupResource().String(), "error", err)
		}
		failed = append(failed, err)
	}
	err := errors.Join(failed...)
	k.setStatus(err == nil, total, err)
	if err == nil && total > 0 {
		k.logger.Info("all objects are stored as the encryption configuration says; keys that are not its first ones may be removed from it", "rewritten", total)
	}
}

// covers tells whether a resource has a cipher.
func (k *Keys) covers(r *cache.Resource) bool {
	s, ok := k.Of(r.Kind().GroupResource()).(*slot)
	return ok && s.cipher.Load() != nil
}

// check is a key service's health.
type check interface {
	Check(*http.Request) error
}

// Healthy asks the key services of the configuration, if it has any.
func (k *Keys) Healthy(ctx context.Context) error {
	k.mu.Lock()
	checks := k.current.checks
	k.mu.Unlock()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if err != nil {
		return err
	}
	var failed []error
	for _, c := range checks {
		failed = append(failed, c.Check(r))
	}
	return errors.Join(failed...)
}

// closeAfter gives requests under way their time before connections end.
func closeAfter(cancel func(), grace time.Duration) func() {
	if grace == 0 {
		return cancel
	}
	return func() { time.AfterFunc(grace, cancel) }
}
