package apitest

import (
	"context"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/apiserver/crd"
	"github.com/knarr-io/knarr/internal/apiserver/outbound"
)

// ServeCustom lets the server serve custom resources until the test ends.
func (s *Server) ServeCustom(t testing.TB) {
	t.Helper()
	calls, err := outbound.New(outbound.Config{Kinds: s.Catalog, Objects: s.Cache})
	check(t, err)
	self := s.Transport(&user.DefaultInfo{Name: user.APIServerUser, Groups: []string{user.SystemPrivilegedGroup}})
	c, err := crd.New(crd.Config{
		Catalog: s.Catalog, Cache: s.Cache, Discovery: s.discovery, Documents: s.documents, Do: self.Do, Webhook: calls.Endpoint,
	})
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	check(t, c.Load(ctx))
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serving custom resources ended with: %v", err)
		}
	})
}
