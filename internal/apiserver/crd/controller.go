package crd

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/discovery"
	"github.com/knarr-io/knarr/internal/apiserver/openapi"
	"github.com/knarr-io/knarr/internal/apiserver/outbound"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Config is what a Controller works with. Catalog, Cache and Do are required.
type Config struct {
	Catalog *catalog.Catalog
	Cache   *cache.Cache
	// Discovery and Documents show what is served; nil: nobody is told.
	Discovery *discovery.Handler
	Documents *openapi.Documents
	// Do carries out the controller's own requests, with all rights.
	Do func(ctx context.Context, req *request.Request) (runtime.Object, error)
	// Webhook makes the endpoints of conversion webhooks; nil: conversions by
	// webhook fail.
	Webhook func(outbound.Target) (*outbound.Endpoint, error)
	Logger  *slog.Logger
	// Now is the time of conditions; nil is the wall clock.
	Now func() time.Time
}

// Controller serves custom resources. Make it with New, call Load before
// requests are answered, then Run.
type Controller struct {
	Config
	kind   *api.Kind
	crds   *cache.Resource
	parts  parts
	loaded store.Revision

	running sync.WaitGroup
	todo    *todo

	// finalizing belongs to the goroutine of Run.
	finalizing map[string]chan struct{}

	mu     sync.Mutex
	served map[string]*definition // by the definition's name; guarded by mu, written by the goroutine of Load and Run
}

// New makes a controller.
func New(c Config) (*Controller, error) {
	kind := c.Catalog.TypeOf(&v1.CustomResourceDefinition{})
	if kind == nil || c.Cache.Of(kind) == nil {
		return nil, errors.New("the catalogue and the cache must hold CustomResourceDefinitions")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	out := &Controller{
		Config: c, kind: kind, crds: c.Cache.Of(kind),
		served: map[string]*definition{}, finalizing: map[string]chan struct{}{}, todo: newTodo(),
	}
	out.parts = parts{meta: out.metaTypes, call: c.Webhook}
	return out, nil
}

func (c *Controller) metaTypes(scale bool) (map[string]*spec.Schema, error) {
	if c.Documents == nil {
		return nil, errors.New("the schemas of the API's own types are not at hand")
	}
	return c.Documents.MetaTypes(scale)
}

// Load serves every definition that is established already. It returns when
// their objects can be read.
func (c *Controller) Load(ctx context.Context) error {
	snap := c.crds.Snapshot()
	c.loaded = snap.Revision()
	var all []*v1.CustomResourceDefinition
	snap.Ascend("", "", "", func(item *cache.Item) bool {
		all = append(all, item.Object.(*v1.CustomResourceDefinition))
		return true
	})
	for _, crd := range all {
		if err := c.take(ctx, crd, crd.Status); err != nil {
			return err
		}
	}
	if len(c.served) == 0 {
		return nil
	}
	return c.publish()
}

// Run follows the definitions until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	defer c.running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	c.running.Go(func() { failed <- c.follow(ctx, c.loaded) })
	c.todo.add(c.names()...) // what was left undone before
	for {
		select {
		case <-c.todo.wake:
			for name, ok := c.todo.next(); ok && ctx.Err() == nil; name, ok = c.todo.next() {
				c.look(ctx, name)
			}
		case err := <-failed:
			return err
		}
	}
}

// servedAs is what is served for a definition; nil for nothing.
func (c *Controller) servedAs(name string) *definition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.served[name]
}

// serve puts a definition in the place of the one before; nil takes it away.
func (c *Controller) serve(name string, d *definition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d == nil {
		delete(c.served, name)
		return
	}
	c.served[name] = d
}

func (c *Controller) get(name string) *v1.CustomResourceDefinition {
	item, found := c.crds.Get("", name)
	if !found {
		return nil
	}
	return item.Object.(*v1.CustomResourceDefinition)
}
