package server

import (
	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/apiserver/admission/configured"
	"github.com/knarr-io/knarr/internal/apiserver/admission/policy"
	"github.com/knarr-io/knarr/internal/apiserver/admission/webhook"
	"github.com/knarr-io/knarr/internal/apiserver/aggregation"
	"github.com/knarr-io/knarr/internal/apiserver/outbound"
)

// extend completes the configuration by what other people's servers do:
// aggregated APIs, and the admission plugins that ask what is configured, in
// upstream's order.
func (p *process) extend(config *apiserver.Config) (admission.Chain, error) {
	client, err := outbound.New(outbound.Config{Kinds: p.kinds, Objects: p.cache})
	if err != nil {
		return nil, err
	}
	own, err := p.ownMetrics()
	if err != nil {
		return nil, err
	}
	p.aggregator, err = aggregation.New(aggregation.Config{Own: own, Kinds: p.kinds, Objects: p.cache, Client: client, Discovery: p.discovery, Documents: p.documents,
		Certificate: p.certs.frontProxy.ForClient, Logger: p.logOf("aggregation")})
	if err != nil {
		return nil, err
	}
	config.Aggregated = p.aggregator.Route
	policies, err := policy.New(policy.Config{Kinds: p.kinds, Objects: p.cache, Authorizer: config.Authorizer, Types: config.Types, Registry: p.registry})
	if err != nil {
		return nil, err
	}
	credentials, err := configured.Read(p.Access.AdmissionConfig)
	if err != nil {
		return nil, err
	}
	hooks, err := webhook.New(webhook.Config{Kinds: p.kinds, Objects: p.cache, Client: client, Authorizer: config.Authorizer, Registry: p.registry,
		Credentials: credentials, Logger: p.logOf("webhooks")})
	if err != nil {
		return nil, err
	}
	return admission.Chain{policies.Mutating(), hooks.Mutating(), policies.Validating(), hooks.Validating()}, nil
}
