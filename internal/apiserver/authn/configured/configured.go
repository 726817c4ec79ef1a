// Package configured knows users by what a person configured: OIDC issuers and
// anonymous access of an AuthenticationConfiguration
// (apiserver.config.k8s.io/v1, KEP-3331), and a webhook that judges tokens.
//
// Discovery, signatures, claims and their CEL expressions are the
// k8s.io/apiserver library's. Issuers is followed when its file changes: a
// configuration that cannot be used leaves the last one in use; requests
// under way end on the old one. An issuer that does not answer makes only its
// own tokens unknown, and is asked again until it does.
package configured

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	authcel "k8s.io/apiserver/pkg/authentication/cel"
	tokencache "k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"

	"github.com/knarr-io/knarr/internal/base/filewatch"
)

// Options say where the configuration lies.
type Options struct {
	// File is an AuthenticationConfiguration.
	File string
	// OwnIssuers are refused in it: their tokens are the cluster's own.
	OwnIssuers []string
	Logger     *slog.Logger
}

// Issuers are the issuers and the anonymous access in use. Safe for
// concurrent use.
type Issuers struct {
	Options
	content []byte
	current atomic.Pointer[set]
}

// set is one configuration with what it started.
type set struct {
	tokens    authenticator.Token // nil: no issuer
	anonymous *apiserver.AnonymousAuthConfig
	stop      context.CancelFunc
}

// How long a verified token is not verified again, and how long the issuers
// of an old configuration answer requests under way.
const (
	remember = 10 * time.Second
	linger   = time.Minute
)

// OpenIssuers reads the configuration. Close ends what it started.
func OpenIssuers(ctx context.Context, o Options) (*Issuers, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	content, err := filewatch.Read(o.File)
	if err != nil {
		return nil, fmt.Errorf("read the authentication configuration: %w", err)
	}
	i := &Issuers{Options: o, content: content}
	first, err := i.make(ctx, content)
	if err != nil {
		return nil, err
	}
	i.current.Store(first)
	return i, nil
}

// Close ends the conversations with issuers.
func (i *Issuers) Close() { i.current.Load().stop() }

// Run follows the file until ctx ends.
func (i *Issuers) Run(ctx context.Context) error {
	return filewatch.Follow(ctx, i.File, i.content, func(content []byte) {
		next, err := i.make(ctx, content)
		if err != nil {
			i.Logger.Error("a changed authentication configuration cannot be used; the last one stays in use", "error", err)
			return
		}
		old := i.current.Swap(next)
		time.AfterFunc(linger, old.stop)
		i.Logger.Info("a new authentication configuration is in use", "file", i.File)
	})
}

// AuthenticateToken implements authenticator.Token.
func (i *Issuers) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	tokens := i.current.Load().tokens
	if tokens == nil {
		return nil, false, nil
	}
	return tokens.AuthenticateToken(ctx, token)
}

// Anonymous tells whether a path may be asked for without credentials.
func (i *Issuers) Anonymous(path string) bool {
	a := i.current.Load().anonymous
	switch {
	case a == nil:
		return true
	case !a.Enabled:
		return false
	case len(a.Conditions) == 0:
		return true
	}
	return slices.ContainsFunc(a.Conditions, func(c apiserver.AnonymousAuthCondition) bool { return c.Path == path })
}

// make builds what a configuration's text says.
func (i *Issuers) make(ctx context.Context, content []byte) (*set, error) {
	config, err := decode(content)
	if err != nil {
		return nil, fmt.Errorf("authentication configuration %s: %w", i.File, err)
	}
	compiler := authcel.NewDefaultCompiler()
	if errs := validation.ValidateAuthenticationConfiguration(compiler, config, i.OwnIssuers); len(errs) > 0 {
		return nil, fmt.Errorf("authentication configuration %s: %w", i.File, errs.ToAggregate())
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	out := &set{anonymous: config.Anonymous, stop: stop}
	var all []authenticator.Token
	for _, one := range config.JWT {
		issuer, err := oidc.New(life, oidc.Options{
			JWTAuthenticator: one, CAContentProvider: authorities(one.Issuer.CertificateAuthority), Compiler: compiler,
			SupportedSigningAlgs: oidc.AllValidSigningAlgorithms(), DisallowedIssuers: i.OwnIssuers, APIServerID: "knarr",
		})
		if err != nil {
			stop()
			return nil, fmt.Errorf("authentication configuration %s: issuer %s: %w", i.File, one.Issuer.URL, err)
		}
		all = append(all, issuer)
	}
	if len(all) > 0 {
		out.tokens = tokencache.New(union.New(all...), false, remember, 0)
	}
	return out, nil
}

// decode reads a configuration strictly.
func decode(content []byte) (*apiserver.AuthenticationConfiguration, error) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	obj, err := runtime.Decode(serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder(), content)
	if err != nil {
		return nil, err
	}
	config, ok := obj.(*apiserver.AuthenticationConfiguration)
	if !ok {
		return nil, errors.New("want an AuthenticationConfiguration, got " + obj.GetObjectKind().GroupVersionKind().Kind)
	}
	return config, nil
}

// authorities are an issuer's certificate authorities; nil: the machine's.
func authorities(pem string) oidc.CAContentProvider {
	if pem == "" {
		return nil
	}
	return bundle(pem)
}

type bundle string

// CurrentCABundleContent implements oidc.CAContentProvider.
func (b bundle) CurrentCABundleContent() []byte { return []byte(b) }
