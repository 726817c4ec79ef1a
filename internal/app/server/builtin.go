package server

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/admission/builtin"
	"github.com/knarr-io/knarr/internal/apiserver/allocate"
	"github.com/knarr-io/knarr/internal/apiserver/authz/escalate"
	"github.com/knarr-io/knarr/internal/apiserver/permit"
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
	allocator, err := allocate.New(allocate.Config{Network: p.Services, FirstPort: firstNodePort, LastPort: lastNodePort}, allocate.StoredIn(p.cache, p.kinds))
	if err != nil {
		return fmt.Errorf("take over the Services' addresses and ports: %w", err)
	}
	config.Hooks = map[*api.Kind]verb.Hook{
		p.kinds.TypeOf(&corev1.Service{}): allocator, p.kinds.TypeOf(&networkingv1.IPAddress{}): allocator.Records(),
	}
	config.Permits = permit.Checks(permit.Config{Kinds: p.kinds, Objects: p.cache, Authorizer: config.Authorizer})
	return nil
}
