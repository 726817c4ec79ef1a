package server

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/audit"
	"github.com/knarr-io/knarr/internal/apiserver/authn/configured"
	"github.com/knarr-io/knarr/internal/apiserver/authz"
	"github.com/knarr-io/knarr/internal/apiserver/authz/escalate"
	"github.com/knarr-io/knarr/internal/apiserver/bootstrap"
	"github.com/knarr-io/knarr/internal/apiserver/discovery"
	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
	"github.com/knarr-io/knarr/internal/apiserver/openapi"
	"github.com/knarr-io/knarr/internal/apiserver/reviews"
	"github.com/knarr-io/knarr/internal/apiserver/stream"
	"github.com/knarr-io/knarr/internal/apiserver/tokens"
	"github.com/knarr-io/knarr/internal/apiserver/zpages"
	"github.com/knarr-io/knarr/internal/app/local"
	"github.com/knarr-io/knarr/internal/app/version"
)

// runAPI puts the API server together, writes what every cluster begins with,
// and serves. It is ready when the socket is being answered.
func (p *process) runAPI(ctx context.Context, ready func()) error {
	first := bootstrap.Config{
		Kinds: p.kinds, Objects: p.cache, ServiceNetwork: p.Services,
		Address:  netip.AddrPortFrom(p.NodeAddress, uint16(p.APIPort)),
		ClientCA: p.authority.ClusterCA().PEM(), FrontProxyCA: p.authority.FrontProxyCA().PEM(),
		Logger: p.logOf("bootstrap"),
	}
	if err := bootstrap.Run(ctx, first); err != nil {
		return fmt.Errorf("write the cluster's first objects: %w", err)
	}
	authorizer, err := authz.New(p.kinds, p.cache, p.logOf("authorization"))
	if err != nil {
		return err
	}
	if file := p.Access.AuthorizationConfig; file != "" {
		if err := authorizer.Configure(file); err != nil {
			return err
		}
	}
	streams, err := stream.New(stream.Config{Kinds: p.kinds, Objects: p.cache,
		ClientCertificate: p.certs.kubeletClient.ForClient, NodeCAs: p.authority.ClusterCA().Pool()})
	if err != nil {
		return err
	}
	defer streams.Close()
	p.streams = streams
	events, err := p.openAudit()
	if err != nil {
		return err
	}
	defer events.Close()
	issuers, err := p.openIssuers(ctx)
	if err != nil {
		return err
	}
	if issuers != nil {
		defer issuers.Close()
	}
	if p.api, err = p.assemble(authorizer, issuers, streams, events); err != nil {
		return err
	}
	definitions, err := p.customResources()
	if err != nil {
		return err
	}
	if err := definitions.Load(ctx); err != nil {
		return fmt.Errorf("load the custom resources: %w", err)
	}
	followed := make(chan error, 7)
	go func() { followed <- definitions.Run(ctx) }()
	go func() { followed <- p.aggregator.Run(ctx) }()
	if events != nil {
		go func() { followed <- events.Run(ctx) }()
	}
	if issuers != nil {
		go func() { followed <- issuers.Run(ctx) }()
	}
	if p.metrics != nil {
		go func() { followed <- p.metrics.Run(ctx) }()
	}
	go func() { followed <- authorizer.Run(ctx) }()
	go func() { followed <- bootstrap.Keep(ctx, first) }()
	served := make(chan error, 1)
	go func() { served <- p.api.Serve(ctx, p.listener, p.serving()) }()
	ready()
	for {
		select {
		case err := <-served:
			return err
		case err := <-followed:
			if err != nil {
				return err
			}
		}
	}
}

// frontProxyName is the only name that may vouch for users in headers.
const frontProxyName = "front-proxy-client"

// assemble makes the server from its parts.
func (p *process) assemble(authorizer *authz.Authorizer, issuers *configured.Issuers, streams *stream.Streams, events *audit.Log) (*apiserver.Server, error) {
	issuer, err := tokens.New(tokens.Options{Issuer: p.tokenIssuer(), Key: p.authority.ServiceAccountKey(),
		Kinds: p.kinds, Objects: p.cache})
	if err != nil {
		return nil, err
	}
	authenticator, err := p.authenticator(issuer, issuers)
	if err != nil {
		return nil, err
	}
	if p.documents, err = openapi.New(); err != nil {
		return nil, err
	}
	endpoints := endpoint.NewRegistry()
	streams.Register(endpoints)
	reviews.New(authenticator.Identified(), issuer.Audiences(), authorizer, authorizer).Register(endpoints)
	endpoints.Act(schema.GroupResource{Resource: "serviceaccounts"}, "token", issuer.TokenRequest)
	handlers, err := p.plainPaths(issuer)
	if err != nil {
		return nil, err
	}
	config := apiserver.Config{
		Catalog: p.kinds, Cache: p.cache, Authenticator: authenticator, Authorizer: authorizer, Types: p.documents,
		Endpoints: endpoints, Handlers: handlers, Checks: p.checks(), Audit: events, Version: version.Get().API(),
		Logger: p.logOf("api"), Registry: p.registry,
	}
	if err := p.builtin(&config, escalate.New(authorizer, authorizer.RBAC())); err != nil {
		return nil, err
	}
	return apiserver.New(config)
}

// otherPaths are those that the API's root lists beside discovery's.
func (p *process) otherPaths() []string {
	return append(apiserver.HealthPaths(p.checks()),
		tokens.ConfigurationPath, "/flagz", "/metrics", "/metrics/slis", "/statusz", "/openapi/v2", "/openapi/v3", "/openapi/v3/", tokens.KeysPath, "/version")
}

// plainPaths are what is served beside resources.
func (p *process) plainPaths(issuer *tokens.Authority) (map[string]http.Handler, error) {
	address := netip.AddrPortFrom(p.NodeAddress, uint16(p.APIPort)).String()
	p.discovery = discovery.New(p.kinds, address)
	keys, err := issuer.Keys()
	if err != nil {
		return nil, err
	}
	configuration, err := issuer.Configuration("https://" + address + tokens.KeysPath)
	if err != nil {
		return nil, err
	}
	pages := zpages.Component{Name: "kube-apiserver", Version: version.Get().API().GitVersion, Started: time.Now(), Emulates: "1." + version.Get().API().Minor,
		Paths: p.otherPaths, Flags: p.Flags}
	return map[string]http.Handler{
		"/":    p.discovery.Root(p.otherPaths),
		"/api": p.discovery, "/api/": p.discovery, "/apis": p.discovery, "/apis/": p.discovery,
		"/openapi/":     p.documents,
		tokens.KeysPath: keys, tokens.ConfigurationPath: configuration,
		"/statusz": pages.Statusz(), "/flagz": pages.Flagz(),
		local.EncryptionPath: http.HandlerFunc(p.answerEncryption),
	}, nil
}
