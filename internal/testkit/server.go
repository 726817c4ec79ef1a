package testkit

import (
	"context"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/version"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/admission/builtin"
	"github.com/knarr-io/knarr/internal/apiserver/allocate"
	"github.com/knarr-io/knarr/internal/apiserver/authz"
	"github.com/knarr-io/knarr/internal/apiserver/authz/escalate"
	"github.com/knarr-io/knarr/internal/apiserver/bootstrap"
	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
	"github.com/knarr-io/knarr/internal/apiserver/openapi"
	"github.com/knarr-io/knarr/internal/apiserver/reviews"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/store/cache"
	"github.com/knarr-io/knarr/internal/store/disk"
)

// startServer opens store and cache, writes what a cluster begins with and
// makes the API server.
func (c *Cluster) startServer(ctx context.Context, t testing.TB, o Options) error {
	st, err := disk.Open(ctx, disk.Options{InMemory: true, Logger: c.Logger})
	if err != nil {
		return err
	}
	c.Catalog = catalog.New()
	options := cache.Options{Logger: c.Logger}
	if o.CheckMutation {
		options.Mutated = func(key string) { t.Errorf("the shared object %s was changed", key) }
	}
	objects, err := cache.Open(ctx, st, c.Catalog.Kinds(), options)
	if err != nil {
		return err
	}
	t.Cleanup(func() {
		c.shutDown()
		objects.Close()
		if err := st.Close(); err != nil {
			t.Error("closing the store: ", err)
		}
	})
	err = bootstrap.Run(ctx, bootstrap.Config{
		Kinds: c.Catalog, Objects: objects, ServiceNetwork: netip.MustParsePrefix("10.96.0.0/16"),
		Address: netip.MustParseAddrPort("127.0.0.1:6443"), ClientCA: []byte("test CA"), FrontProxyCA: []byte("test CA"), Logger: c.Logger,
	})
	if err != nil {
		return err
	}
	authorizer, err := authz.New(c.Catalog, objects, c.Logger)
	if err != nil {
		return err
	}
	following := make(chan struct{})
	go func() {
		defer close(following)
		if err := authorizer.Run(ctx); err != nil && ctx.Err() == nil {
			c.Logger.Error("authorization stopped", "error", err)
		}
	}()
	c.parts = append(c.parts, func() { <-following })
	if err := c.newServer(objects, authorizer, o); err != nil {
		return err
	}
	return c.serveCustom(ctx, objects)
}

// newServer puts the API server together as the product does.
func (c *Cluster) newServer(objects *cache.Cache, authorizer *authz.Authorizer, o Options) error {
	types, err := openapi.New()
	if err != nil {
		return err
	}
	c.documents = types
	addresses, err := allocate.New(allocate.Config{
		Network: netip.MustParsePrefix("10.96.0.0/16"), FirstPort: 30000, LastPort: 32767,
	}, allocate.StoredIn(objects, c.Catalog))
	if err != nil {
		return err
	}
	endpoints := endpoint.NewRegistry()
	reviews.New(tokenAuth(), nil, authorizer, authorizer).Register(endpoints)
	c.Server, err = apiserver.New(apiserver.Config{
		Catalog: c.Catalog, Cache: objects, Authenticator: tokenAuth(), Authorizer: authorizer, Types: types, Endpoints: endpoints,
		Admission: builtin.Chain(builtin.Config{Catalog: c.Catalog, Cache: objects, Escalation: escalate.New(authorizer, authorizer.RBAC()).Check,
			Authorizer: authorizer, ProtectVolumes: !o.NoControllers}),
		Hooks: map[*api.Kind]verb.Hook{
			c.Catalog.TypeOf(&corev1.Service{}): addresses, c.Catalog.TypeOf(&networkingv1.IPAddress{}): addresses.Records(),
		},
		Version: version.Info{Major: "1", Minor: "36", GitVersion: "v1.36.0"}, Logger: c.Logger, Registry: c.Registry,
		Aggregated: o.Aggregated,
		MaxReads:   100_000, MaxWrites: 100_000,
	})
	if err != nil {
		return err
	}
	c.Admin = client.New(c.Server.Transport(administrator()), c.Catalog)
	return nil
}
