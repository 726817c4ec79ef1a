package server

import (
	"context"
	"crypto/x509"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/token/union"

	"github.com/knarr-io/knarr/internal/apiserver/authn"
	"github.com/knarr-io/knarr/internal/apiserver/authn/bootstraptoken"
	"github.com/knarr-io/knarr/internal/apiserver/authn/configured"
	"github.com/knarr-io/knarr/internal/apiserver/tokens"
)

// openIssuers reads who else may vouch for users; nil where nobody may.
func (p *process) openIssuers(ctx context.Context) (*configured.Issuers, error) {
	if p.Access.AuthenticationConfig == "" {
		return nil, nil
	}
	return configured.OpenIssuers(ctx, configured.Options{
		File: p.Access.AuthenticationConfig, OwnIssuers: []string{p.tokenIssuer()}, Logger: p.logOf("authentication"),
	})
}

// tokenIssuer is what service accounts' tokens name as their issuer.
func (p *process) tokenIssuer() string { return "https://kubernetes.default.svc." + p.Domain }

// authenticator asks the cluster's own tokens first, then those that somebody
// configured.
func (p *process) authenticator(issuer *tokens.Authority, issuers *configured.Issuers) (*authn.Authenticator, error) {
	config := authn.Config{
		ClientCAs:       func() *x509.CertPool { return p.authority.ClusterCA().Pool() },
		FrontProxyCAs:   func() *x509.CertPool { return p.authority.FrontProxyCA().Pool() },
		FrontProxyNames: []string{frontProxyName}, Audiences: issuer.Audiences(),
	}
	known := []authenticator.Token{issuer, bootstraptoken.New(p.cache.Of(p.kinds.TypeOf(&corev1.Secret{})))}
	if issuers != nil {
		known = append(known, issuers)
		config.Anonymous = issuers.Anonymous
	}
	if file := p.Access.TokenWebhook; file != "" {
		hook, err := configured.NewWebhook(configured.WebhookOptions{ConfigFile: file, Audiences: issuer.Audiences(), Remember: p.Access.TokenWebhookTTL})
		if err != nil {
			return nil, err
		}
		known = append(known, hook)
	}
	config.Tokens = union.New(known...)
	return authn.New(config), nil
}
