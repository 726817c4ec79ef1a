// Package tokens signs and verifies the tokens of service accounts.
//
// A token is a JWT (RFC 7519) signed with ES256 (RFC 7518) by the cluster's
// key. It is bound to a service account and, where asked for, to a pod, a
// secret or a node: by name and uid, so that it ends when the object does.
// Signatures and expiry are checked against the key and the clock, the bound
// objects against the object cache at every use, so that a token of a deleted
// pod is refused at once. Claims are those of KEP-1205 and KEP-4193.
//
// An Authority owns the signing key and a bounded memory of tokens whose
// signature was verified, by hash; a token itself is never kept.
package tokens

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Options say who issues, and for whom.
type Options struct {
	// Issuer is the URL that tokens name; it also is the API's own audience
	// where Audiences is empty.
	Issuer    string
	Audiences []string
	Key       *ecdsa.PrivateKey
	Kinds     *catalog.Catalog
	Objects   *cache.Cache
}

// Authority issues and verifies. Safe for concurrent use.
type Authority struct {
	issuer    string
	audiences authenticator.Audiences
	key       *ecdsa.PrivateKey
	keyID     string
	signer    jose.Signer
	verified  *verified

	accounts, pods, secrets, nodes *cache.Resource
}

// New makes an authority of a key.
func New(o Options) (*Authority, error) {
	keyID, err := keyIDOf(&o.Key.PublicKey)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: o.Key, KeyID: keyID}}, nil)
	if err != nil {
		return nil, fmt.Errorf("service account signing key: %w", err)
	}
	a := &Authority{
		issuer: o.Issuer, audiences: o.Audiences, key: o.Key, keyID: keyID, signer: signer, verified: newVerified(),
	}
	if len(a.audiences) == 0 {
		a.audiences = authenticator.Audiences{o.Issuer}
	}
	for name, into := range map[string]**cache.Resource{"serviceaccounts": &a.accounts, "pods": &a.pods, "secrets": &a.secrets, "nodes": &a.nodes} {
		if k := o.Kinds.Resource(corev1.SchemeGroupVersion.WithResource(name)); k != nil {
			*into = o.Objects.Of(k)
		}
		if *into == nil {
			return nil, errors.New("the catalogue of kinds does not hold " + name)
		}
	}
	return a, nil
}

// Audiences are those that a token must name to be good for this API.
func (a *Authority) Audiences() authenticator.Audiences { return a.audiences }

// Claims are what a token says. Field names are upstream's.
type Claims struct {
	jwt.Claims
	Kubernetes Binding `json:"kubernetes.io"`
}

// Binding names the objects that a token is bound to.
type Binding struct {
	Namespace      string `json:"namespace,omitempty"`
	ServiceAccount Ref    `json:"serviceaccount"`
	Pod            *Ref   `json:"pod,omitempty"`
	Secret         *Ref   `json:"secret,omitempty"`
	Node           *Ref   `json:"node,omitempty"`
	// WarnAfter is when a token with an extended life should be replaced.
	WarnAfter *jwt.NumericDate `json:"warnafter,omitempty"`
}

// Ref is one object.
type Ref struct {
	Name string `json:"name,omitempty"`
	UID  string `json:"uid,omitempty"`
}

func (a *Authority) sign(c *Claims) (string, error) {
	token, err := jwt.Signed(a.signer).Claims(c).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign service account token: %w", err)
	}
	return token, nil
}

// keyIDOf names a key by the hash of its public part, as upstream does.
func keyIDOf(key *ecdsa.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("service account signing key: %w", err)
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// dates fills the times of new claims; life is the time until expiry.
func dates(c *jwt.Claims, now time.Time, life time.Duration) {
	c.IssuedAt, c.NotBefore = jwt.NewNumericDate(now), jwt.NewNumericDate(now)
	c.Expiry = jwt.NewNumericDate(now.Add(life))
}
