package server

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/admission/builtin"
	"github.com/knarr-io/knarr/internal/apiserver/allocate"
	"github.com/knarr-io/knarr/internal/apiserver/authz/escalate"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
)

// The range of node ports, upstream's default.
const firstNodePort, lastNodePort = 30000, 32767

// builtin completes the configuration by what every server checks and hands
// out on writes.
func (p *process) builtin(config *apiserver.Config, checker *escalate.Checker) error {
	others, err := p.extend(config)
	if err != nil {
		return err
	}
	config.Admission = builtin.Chain(builtin.Config{
		Catalog: p.kinds, Cache: p.cache, Escalation: checker.Check, Others: others,
		Authorizer: config.Authorizer, ProtectVolumes: true,
	})
	services := p.kinds.TypeOf(&corev1.Service{})
	allocator, err := allocate.New(allocate.Config{Network: p.Services, FirstPort: firstNodePort, LastPort: lastNodePort}, p.cache.Of(services))
	if err != nil {
		return fmt.Errorf("take over the Services' addresses and ports: %w", err)
	}
	config.Hooks = map[*api.Kind]verb.Hook{services: allocator}
	return nil
}
