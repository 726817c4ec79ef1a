// Package authn finds out who sends a request.
//
// In upstream's order: the front proxy (which vouches for users in headers),
// a client certificate (common name and organizations are user and groups),
// a bearer token of a service account, also in a WebSocket's subprotocol.
// Who presents none of these is system:anonymous in the group
// system:unauthenticated; who presents something that is not good is nobody,
// and the request is answered with 401.
//
// Trust anchors are taken through functions, so that they can change while the
// server runs. The only state is a bounded memory of certificates that were
// verified, since a connection presents the same one with every request.
package authn

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	x509request "k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/user"
)

// Config says whom to trust.
type Config struct {
	// ClientCAs and FrontProxyCAs are asked at every handshake's request.
	ClientCAs, FrontProxyCAs func() *x509.CertPool
	// FrontProxyNames are the common names that a front proxy may have;
	// empty means any that FrontProxyCAs signed.
	FrontProxyNames []string
	// Tokens verifies bearer tokens.
	Tokens authenticator.Token
	// Audiences are the API's own.
	Audiences authenticator.Audiences
	// Anonymous tells which paths may be asked for without credentials; nil:
	// all of them.
	Anonymous func(path string) bool
}

// errBearer stands before what is wrong with a token, as in upstream's answers.
var errBearer = errors.New("invalid bearer token")

// Authenticator is the whole chain. Safe for concurrent use.
type Authenticator struct {
	chain     authenticator.Request
	anonymous func(path string) bool
}

// New builds the chain.
func New(c Config) *Authenticator {
	options := func(pool func() *x509.CertPool) x509request.VerifyOptionFunc {
		return func() (x509.VerifyOptions, bool) {
			roots := pool()
			return x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, roots != nil
		}
	}
	tokens := func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
		response, ok, err := c.Tokens.AuthenticateToken(ctx, token)
		if err != nil {
			err = utilerrors.NewAggregate([]error{errBearer, err})
		}
		return response, ok, err
	}
	chain := union.New(
		newFrontProxy(options(c.FrontProxyCAs), c.FrontProxyNames),
		newRemembering(x509request.NewDynamic(options(c.ClientCAs), x509request.CommonNameUserConversion), c.ClientCAs),
		bearertoken.New(authenticator.TokenFunc(tokens)),
		websocket.NewProtocolAuthenticator(authenticator.TokenFunc(tokens)),
	)
	return &Authenticator{chain: group.NewAuthenticatedGroupAdder(withAudiences(chain, c.Audiences)), anonymous: c.Anonymous}
}

// AuthenticateRequest implements authenticator.Request. It takes the
// credentials out of the request's headers.
func (a *Authenticator) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	response, ok, err := a.chain.AuthenticateRequest(r)
	if ok || err != nil || a.anonymous != nil && !a.anonymous(r.URL.Path) {
		return response, ok, err
	}
	response = &authenticator.Response{User: &user.DefaultInfo{Name: user.Anonymous, Groups: []string{user.AllUnauthenticated}}}
	if audiences, ok := authenticator.AudiencesFrom(r.Context()); ok {
		response.Audiences = audiences
	}
	return response, true, nil
}

// Identified is the chain without anonymous users, as token reviews need it.
func (a *Authenticator) Identified() authenticator.Request { return a.chain }

// withAudiences answers with the API's audiences where an authenticator knows
// none (certificates are good for every audience).
func withAudiences(next authenticator.Request, own authenticator.Audiences) authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		if _, ok := authenticator.AudiencesFrom(r.Context()); !ok && len(own) > 0 {
			r = r.WithContext(authenticator.WithAudiences(r.Context(), own))
		}
		return next.AuthenticateRequest(r)
	})
}
