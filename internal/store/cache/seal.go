package cache

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/store"
)

// Sealer keeps one resource's values unreadable in the store. Safe for
// concurrent use; what it does may change while the cache runs.
type Sealer interface {
	// Seal makes the stored form of a value under a store key. It may return
	// the value itself, which it does not change.
	Seal(key string, value []byte) ([]byte, error)
	// Open undoes Seal. stale tells that Seal would store the value in
	// another form today: it should be written again.
	Open(key string, stored []byte) (value []byte, stale bool, err error)
}

// Seals finds the sealer of a resource.
type Seals func(schema.GroupResource) Sealer

// sealedPrefix begins every value that a sealer of ours wrote; no object's
// encoding begins so.
var sealedPrefix = []byte("k8s:enc:")

// errSealed tells that a value cannot be opened.
var errSealed = errors.New("a stored object cannot be decrypted")

// plainSeal is the Sealer of caches that were given none.
type plainSeal struct{}

// Seal implements Sealer.
func (plainSeal) Seal(_ string, value []byte) ([]byte, error) { return value, nil }

// Open implements Sealer.
func (plainSeal) Open(_ string, stored []byte) ([]byte, bool, error) {
	if bytes.HasPrefix(stored, sealedPrefix) {
		return nil, false, errors.New("it is encrypted, and no encryption configuration was given")
	}
	return stored, false, nil
}

func sealerOf(seals Seals, gr schema.GroupResource) Sealer {
	if seals == nil {
		return plainSeal{}
	}
	return seals(gr)
}

// unopened remembers keys whose values could not be opened while the cache
// was loading. Values of the past may be sealed with a key that is gone, so
// whether one of them matters is decided when the newest state is known.
type unopened struct {
	mu   sync.Mutex
	keys map[string]bool // guarded by mu
	over bool            // guarded by mu: loading has ended
}

// note tells whether the key is to be looked at again.
func (u *unopened) note(key string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.over {
		return false
	}
	if u.keys == nil {
		u.keys = map[string]bool{}
	}
	u.keys[key] = true
	return true
}

// take ends loading and gives the keys.
func (u *unopened) take() map[string]bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = true
	return u.keys
}

// checkOpened fails where the newest value of a key cannot be opened: a server
// that went on without the object would take it for deleted.
func (c *Cache) checkOpened(ctx context.Context) error {
	for key := range c.unopened.take() {
		rec, ok, err := c.store.Get(ctx, key)
		if err != nil {
			return err
		}
		r := c.resourceOf(key)
		if !ok || r == nil {
			continue
		}
		if _, err := r.codec.decode(key, rec.Value); errors.Is(err, errSealed) {
			return err
		}
	}
	return nil
}

// resealPage is how many records are looked at in one go.
const resealPage = 256

// CheckSeals reads every stored value with other sealers and fails on the
// first that they cannot open.
func (c *Cache) CheckSeals(ctx context.Context, seals Seals) error {
	for _, r := range c.Resources() {
		sealer := seals(r.kind.GroupResource())
		err := r.eachStored(ctx, func(rec store.Record) error {
			if _, _, err := sealer.Open(rec.Key, rec.Value); err != nil {
				return fmt.Errorf("%w: %s: %w", errSealed, rec.Key, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Reseal writes every object of the resource again whose stored form is stale,
// until none is left, and tells how many it wrote. An object that somebody
// else writes meanwhile is looked at again; one that cannot be read stays as it
// is, and is told when the others are done.
func (r *Resource) Reseal(ctx context.Context) (written int, err error) {
	for {
		n, missed, err := r.resealOnce(ctx)
		written += n
		if err = cmp.Or(err, ctx.Err()); err != nil || missed == 0 {
			return written, err
		}
	}
}

func (r *Resource) resealOnce(ctx context.Context) (written, missed int, err error) {
	var unreadable []error
	err = r.eachStored(ctx, func(rec store.Record) error {
		_, stale, err := r.codec.sealer.Open(rec.Key, rec.Value)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", errSealed, rec.Key, err)
		}
		if !stale {
			return nil
		}
		item, same := r.as(rec)
		if !same {
			lacks, err := r.lacks(ctx, rec)
			if lacks {
				unreadable = append(unreadable, fmt.Errorf("%s cannot be read, and stays as it is stored", rec.Key))
			} else {
				missed++
			}
			return err
		}
		_, err = r.put(ctx, rec.Key, store.ModifiedAt(rec.Modified), ShallowCopy(item.Object))
		if errors.Is(err, store.ErrConflict) {
			missed++
			return nil
		}
		if err == nil {
			written++
		}
		return err
	})
	if err == nil && missed == 0 {
		err = errors.Join(unreadable...)
	}
	return written, missed, err
}

// as is the item that a record holds; same is false where the cache has another
// state of it, or none.
func (r *Resource) as(rec store.Record) (item *Item, same bool) {
	item, ok := r.get(rec.Key)
	return item, ok && item.Revision == rec.Modified
}

// lacks tells of a record that is still what is stored, and that the cache has
// come by without being able to read it.
func (r *Resource) lacks(ctx context.Context, rec store.Record) (bool, error) {
	if r.cache.Revision() < rec.Modified {
		return false, nil
	}
	if _, same := r.as(rec); same {
		return false, nil
	}
	now, ok, err := r.cache.store.Get(ctx, rec.Key)
	return ok && now.Modified == rec.Modified, err
}

// eachStored hands over the resource's records as they lie in the store now,
// page by page.
func (r *Resource) eachStored(ctx context.Context, each func(store.Record) error) error {
	page := store.Page{Prefix: r.prefix, Limit: resealPage}
	for {
		got, err := r.cache.store.Scan(ctx, page)
		if err != nil {
			return err
		}
		for _, rec := range got.Records {
			if err := each(rec); err != nil {
				return err
			}
		}
		if !got.More {
			return nil
		}
		// Every page is of the newest state: what happens between two pages is
		// written by today's sealer.
		page.After = got.Records[len(got.Records)-1].Key
	}
}
