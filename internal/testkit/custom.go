package testkit

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/apiserver/crd"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// serveCustom lets the server serve custom resources until ctx ends.
func (c *Cluster) serveCustom(ctx context.Context, objects *cache.Cache) error {
	self := c.Server.Transport(identity(user.APIServerUser, user.SystemPrivilegedGroup))
	custom, err := crd.New(crd.Config{Catalog: c.Catalog, Cache: objects, Documents: c.documents, Do: self.Do, Logger: c.Logger})
	if err != nil {
		return err
	}
	if err := custom.Load(ctx); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := custom.Run(ctx); err != nil && ctx.Err() == nil {
			c.Logger.Error("serving custom resources stopped", "error", err)
		}
	}()
	c.parts = append(c.parts, func() { <-ended })
	return nil
}
