package tokens

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// deletionLeeway lets a token of an object live on this long after the
// object's deletion was to be over, so that its last words are heard.
const deletionLeeway = time.Minute

// errExpired is upstream's text.
var errExpired = errors.New("service account token has expired")

// AuthenticateToken implements authenticator.Token. A token of another issuer
// is no error, and not authenticated.
func (a *Authority) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	if len(token) > limits.BearerToken || !a.isOurs(token) {
		return nil, false, nil
	}
	claims, err := a.verifySignature(token)
	if err != nil {
		return nil, false, err
	}
	if err := checkDates(&claims.Claims, time.Now()); err != nil {
		return nil, false, err
	}
	audiences, err := a.matchAudiences(ctx, claims)
	if err != nil {
		return nil, false, err
	}
	info, err := a.checkBinding(claims, time.Now())
	if err != nil {
		return nil, false, err
	}
	return &authenticator.Response{User: info.UserInfo(), Audiences: audiences}, true, nil
}

// isOurs reads the issuer without checking anything.
func (a *Authority) isOurs(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	return json.Unmarshal(payload, &claims) == nil && claims.Issuer == a.issuer
}

// verifySignature gives the claims of a token that our key signed.
func (a *Authority) verifySignature(token string) (*Claims, error) {
	sum := sha256.Sum256([]byte(token))
	if claims := a.verified.get(sum); claims != nil {
		return claims, nil
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, fmt.Errorf("malformed service account token: %w", err)
	}
	claims := &Claims{}
	if err := parsed.Claims(&a.key.PublicKey, claims); err != nil {
		return nil, fmt.Errorf("invalid signature: %w", err)
	}
	a.verified.put(sum, claims, time.Now())
	return claims, nil
}

func checkDates(c *jwt.Claims, now time.Time) error {
	err := c.Validate(jwt.Expected{Time: now})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrNotValidYet):
		return errors.New("service account token is not valid yet")
	case errors.Is(err, jwt.ErrIssuedInTheFuture):
		return errors.New("service account token is issued in the future")
	case errors.Is(err, jwt.ErrExpired):
		return errExpired
	default:
		return errors.New("service account token claims could not be validated due to unexpected validation error")
	}
}

// matchAudiences intersects the token's audiences with those asked for, which
// are the API's own unless the context names others.
func (a *Authority) matchAudiences(ctx context.Context, c *Claims) (authenticator.Audiences, error) {
	own := authenticator.Audiences(c.Audience)
	if len(own) == 0 {
		own = a.audiences
	}
	wanted, ok := authenticator.AudiencesFrom(ctx)
	if !ok {
		wanted = a.audiences
	}
	common := own.Intersect(wanted)
	if len(common) == 0 {
		return nil, fmt.Errorf("token audiences %q is invalid for the target audiences %q", own, wanted)
	}
	return common, nil
}

// checkBinding holds every object that the token is bound to against the
// cache.
func (a *Authority) checkBinding(c *Claims, now time.Time) (*serviceaccount.ServiceAccountInfo, error) {
	b := &c.Kubernetes
	if serviceaccount.MakeUsername(b.Namespace, b.ServiceAccount.Name) != c.Subject {
		return nil, errors.New("service account token claims do not belong together")
	}
	for _, check := range []struct {
		what      string
		resource  *cache.Resource
		namespace string
		ref       *Ref
	}{
		{"service account", a.accounts, b.Namespace, &b.ServiceAccount},
		{"secret", a.secrets, b.Namespace, b.Secret},
		{"pod", a.pods, b.Namespace, b.Pod},
		{"node", a.nodes, "", directNode(b)},
	} {
		if check.ref == nil {
			continue
		}
		if err := checkRef(check.what, check.resource, check.namespace, check.ref, now); err != nil {
			return nil, err
		}
	}
	return b.info(c.ID), nil
}

// directNode is the node of a token that is bound to it; the node of a pod is
// only told along.
func directNode(b *Binding) *Ref {
	if b.Pod != nil {
		return nil
	}
	return b.Node
}

func checkRef(what string, resource *cache.Resource, namespace string, ref *Ref, now time.Time) error {
	item, ok := resource.Get(namespace, ref.Name)
	if !ok {
		return fmt.Errorf("%s %q of the service account token does not exist", what, ref.Name)
	}
	if ended(item.Object, now) {
		return fmt.Errorf("%s %q of the service account token has been deleted", what, ref.Name)
	}
	if string(item.Object.GetUID()) != ref.UID {
		return fmt.Errorf("%s UID (%s) does not match claim (%s)", what, item.Object.GetUID(), ref.UID)
	}
	return nil
}

func ended(obj api.Object, now time.Time) bool {
	deleted := obj.GetDeletionTimestamp()
	return deleted != nil && deleted.Add(deletionLeeway).Before(now)
}

func (b *Binding) info(id string) *serviceaccount.ServiceAccountInfo {
	info := &serviceaccount.ServiceAccountInfo{Namespace: b.Namespace, Name: b.ServiceAccount.Name, UID: b.ServiceAccount.UID}
	if id != "" {
		info.CredentialID = "JTI=" + id
	}
	if b.Pod != nil {
		info.PodName, info.PodUID = b.Pod.Name, b.Pod.UID
	}
	if b.Node != nil {
		info.NodeName, info.NodeUID = b.Node.Name, b.Node.UID
	}
	return info
}
