package server

import (
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/apiserver/crd"
	"github.com/knarr-io/knarr/internal/apiserver/outbound"
)

// customResources makes the part of the API that serves custom resources. It
// writes as the API server itself.
func (p *process) customResources() (*crd.Controller, error) {
	calls, err := outbound.New(outbound.Config{Kinds: p.kinds, Objects: p.cache})
	if err != nil {
		return nil, err
	}
	self := p.api.Transport(&user.DefaultInfo{Name: user.APIServerUser, Groups: []string{user.SystemPrivilegedGroup, user.AllAuthenticated}})
	return crd.New(crd.Config{
		Catalog: p.kinds, Cache: p.cache, Discovery: p.discovery, Documents: p.documents,
		Do: self.Do, Webhook: calls.Endpoint, Logger: p.logOf("custom resources"),
	})
}
