package cache

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/progress"
)

// Options tune a cache. The zero value is what a server of ordinary size uses.
type Options struct {
	Logger *slog.Logger
	// EncodingBudget bounds the bytes of kept encodings; zero: 32 MiB.
	EncodingBudget int64
	// HistoryCount, HistoryBytes (as stored) and HistoryAge bound the events
	// that each resource keeps for its watchers; zero: 16,384 events, 8 MiB,
	// 3 minutes.
	HistoryCount int
	HistoryBytes int64
	HistoryAge   time.Duration
	// Replay is how many of the store's latest changes are read as events
	// when the cache opens, so that watches go on across a restart; zero:
	// 2,000, negative: none.
	Replay int
	// Seals says how each resource's values are kept in the store; nil: as
	// they are.
	Seals Seals
	// Observe is told of every write: what it does (create, update, delete),
	// how long the store took, and its error; may be nil. Safe for concurrent
	// use.
	Observe func(k *api.Kind, operation string, took time.Duration, err error)
	// OnFailure is told, once, that the store cannot be followed any more though
	// nobody closed it: reads tell the last state from then on, and writes fail
	// with store.ErrClosed. May be nil.
	OnFailure func(error)
	// Mutated is told of every object that somebody changed after it was
	// shared. Set it in tests only: each object is hashed when it comes and
	// when it goes.
	Mutated func(key string)
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.EncodingBudget = cmp.Or(o.EncodingBudget, 32<<20)
	o.HistoryCount = cmp.Or(o.HistoryCount, 16384)
	o.HistoryBytes = cmp.Or(o.HistoryBytes, 8<<20)
	o.HistoryAge = cmp.Or(o.HistoryAge, 3*time.Minute)
	o.Replay = cmp.Or(o.Replay, 2000)
	return o
}

// Cache holds all objects of all kinds. Safe for concurrent use.
type Cache struct {
	store   store.Store
	options Options
	limits  limits
	budget  budget
	sets    *fieldSets
	gate    progress.Gate
	// unopened are values that could not be decrypted while loading.
	unopened unopened
	lacks    atomic.Bool // something stored could not be read

	known atomic.Pointer[registry]
	// changing orders changes of the kinds; it is taken before applying.
	changing sync.Mutex
	// applying is held while changes are made visible, and while the set of
	// resources changes.
	applying sync.Mutex
	unread   unread   // guarded by applying
	loading  *loading // guarded by applying: a resource that is being read; nil mostly

	stop     context.CancelFunc
	stopped  chan struct{} // closed when the follower has ended
	closing  sync.Once
	expiryMu sync.Mutex
	expiry   *time.Timer // guarded by expiryMu; nil where nothing expires
	expiryAt time.Time   // guarded by expiryMu
	closed   bool        // guarded by expiryMu
}

// Open loads the objects of the kinds and follows the store until Close. The
// caller closes the store after the cache. Views and virtual kinds among
// kinds are passed over; keys of kinds that are not named are left alone.
func Open(ctx context.Context, st store.Store, kinds []*api.Kind, options Options) (*Cache, error) {
	options = options.withDefaults()
	c := &Cache{
		store: st, options: options,
		limits:  limits{count: options.HistoryCount, bytes: options.HistoryBytes, age: options.HistoryAge},
		budget:  budget{limit: options.EncodingBudget},
		sets:    newFieldSets(),
		stopped: make(chan struct{}),
	}
	all := newRegistry(len(kinds))
	for _, k := range kinds {
		if k.Virtual || k.View != nil {
			continue
		}
		if err := all.add(newResource(c, k)); err != nil {
			return nil, err
		}
	}
	c.known.Store(all)
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Of is the resource of a kind, or of the kind that it is a view of; nil for
// a kind that the cache does not hold. A kind of a custom resource whose
// definition has changed since finds the objects as they are now.
func (c *Cache) Of(k *api.Kind) *Resource {
	known, stored := c.known.Load(), k.Stored()
	if r := known.byKind[stored]; r != nil || stored.Custom == nil {
		return r
	}
	if r := known.byPrefix[keyPrefix(stored)]; r != nil && r.kind.Custom != nil {
		return r
	}
	return nil
}

// Resources are all resources, in the order in which their kinds came.
func (c *Cache) Resources() []*Resource { return c.known.Load().resources }

// Revision is applied here: every change up to it is visible in every
// resource.
func (c *Cache) Revision() store.Revision { return c.gate.Revision() }

// WaitFor blocks until the revision is applied here. It fails with ctx's
// error, or with store.ErrClosed.
func (c *Cache) WaitFor(ctx context.Context, rev store.Revision) error {
	return c.gate.WaitFor(ctx, rev)
}

// EncodedBytes is what encodings hold of their budget.
func (c *Cache) EncodedBytes() int64 { return c.budget.held() }

// Rest gives up the encodings that nobody asked for again since it was last
// called: those of objects that a burst of work wrote once are not wanted when
// it is over.
func (c *Cache) Rest() { c.budget.rest() }

// Close ends all watches with store.ErrClosed and stops following the store,
// which stays open.
func (c *Cache) Close() {
	c.closing.Do(func() {
		c.stop()
		<-c.stopped
		c.stopExpiry()
		c.checkAll()
	})
}

// resourceOf finds the resource of a store key; nil where there is none.
func (c *Cache) resourceOf(key string) *Resource {
	return c.known.Load().byPrefix[prefixOf(key)]
}

// prefixOf is the part of a key that all objects of a kind share; empty where
// the key is none of ours.
func prefixOf(key string) string {
	rest := strings.TrimPrefix(key, "/")
	group := strings.IndexByte(rest, '/')
	if group < 0 || len(rest) == len(key) {
		return ""
	}
	resource := strings.IndexByte(rest[group+1:], '/')
	if resource < 0 {
		return ""
	}
	return key[:1+group+1+resource+1]
}
