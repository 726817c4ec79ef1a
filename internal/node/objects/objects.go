// Package objects holds the ConfigMaps and Secrets that pods of this node
// refer to, and no others: each is watched by its name for as long as a pod
// uses it. A change is told to the pods that use the object.
//
// The cache owns the watches; objects are shared and immutable.
package objects

import (
	"context"
	"log/slog"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
)

// Kind is what a reference points to.
type Kind string

// The kinds that pods refer to.
const (
	ConfigMap Kind = "ConfigMap"
	Secret    Kind = "Secret"
)

// Ref names an object of the pod's namespace.
type Ref struct {
	Kind            Kind
	Namespace, Name string
}

// Cache holds objects in use. It is safe for concurrent use.
type Cache struct {
	client *client.Client
	logger *slog.Logger
	// ctx bounds the watches; it is the life of the node agent.
	ctx context.Context

	mu struct {
		sync.Mutex
		entries map[Ref]*entry
		pods    map[types.UID]map[Ref]bool
	}
}

type entry struct {
	cancel context.CancelFunc
	synced func(context.Context) error
	get    func() api.Object
	// users are told of changes; guarded by the cache's mu.
	users map[types.UID]func()
}

// New makes an empty cache whose watches end with ctx.
func New(ctx context.Context, c *client.Client, logger *slog.Logger) *Cache {
	cache := &Cache{client: c, logger: logger, ctx: ctx}
	cache.mu.entries = make(map[Ref]*entry)
	cache.mu.pods = make(map[types.UID]map[Ref]bool)
	return cache
}

// Use sets what a pod refers to; changed is called, from any goroutine and
// without blocking it, when one of the objects changes. No references end the
// pod's use.
func (c *Cache) Use(uid types.UID, refs []Ref, changed func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := make(map[Ref]bool, len(refs))
	for _, r := range refs {
		wanted[r] = true
		if c.mu.entries[r] == nil {
			c.mu.entries[r] = c.watchLocked(r)
		}
		c.mu.entries[r].users[uid] = changed
	}
	for r := range c.mu.pods[uid] {
		if !wanted[r] {
			c.dropLocked(uid, r)
		}
	}
	if c.mu.pods[uid] = wanted; len(wanted) == 0 {
		delete(c.mu.pods, uid)
	}
}

func (c *Cache) dropLocked(uid types.UID, r Ref) {
	e := c.mu.entries[r]
	delete(e.users, uid)
	if len(e.users) == 0 {
		e.cancel()
		delete(c.mu.entries, r)
	}
}

func (c *Cache) watchLocked(r Ref) *entry {
	if r.Kind == Secret {
		return watch[*corev1.Secret](c, r)
	}
	return watch[*corev1.ConfigMap](c, r)
}

// watch starts to watch one object by its name.
func watch[T api.Object](c *Cache, r Ref) *entry {
	ctx, cancel := context.WithCancel(c.ctx)
	set := client.NewInformers(c.client, c.logger)
	inf := client.InformerWith[T](set, client.Selection{Namespace: r.Namespace, Fields: "metadata.name=" + r.Name})
	e := &entry{cancel: cancel, synced: set.WaitSynced, users: map[types.UID]func(){}}
	e.get = func() api.Object {
		if obj, ok := inf.Get(r.Namespace, r.Name); ok {
			return obj
		}
		return nil
	}
	inf.OnChange(func(_, _ T) { c.tell(r, e) })
	set.Start(ctx)
	return e
}

func (c *Cache) tell(r Ref, e *entry) {
	c.mu.Lock()
	if c.mu.entries[r] != e {
		c.mu.Unlock()
		return
	}
	tell := make([]func(), 0, len(e.users))
	for _, fn := range e.users {
		tell = append(tell, fn)
	}
	c.mu.Unlock()
	for _, fn := range tell {
		fn()
	}
}

// Get reads an object that some pod Uses, once its watch has told the state
// it found; nil when there is no such object, or nobody uses it.
func (c *Cache) Get(ctx context.Context, r Ref) (api.Object, error) {
	c.mu.Lock()
	e := c.mu.entries[r]
	c.mu.Unlock()
	if e == nil {
		return nil, nil
	}
	if err := e.synced(ctx); err != nil {
		return nil, err
	}
	return e.get(), nil
}

// ConfigMap is Get for a ConfigMap; nil when there is none.
func (c *Cache) ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	obj, err := c.Get(ctx, Ref{Kind: ConfigMap, Namespace: namespace, Name: name})
	cm, _ := obj.(*corev1.ConfigMap)
	return cm, err
}

// Secret is Get for a Secret; nil when there is none.
func (c *Cache) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	obj, err := c.Get(ctx, Ref{Kind: Secret, Namespace: namespace, Name: name})
	s, _ := obj.(*corev1.Secret)
	return s, err
}
