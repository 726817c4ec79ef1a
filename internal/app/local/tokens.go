package local

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/jointoken"
	"github.com/knarr-io/knarr/internal/app/join"
	"github.com/knarr-io/knarr/internal/base/remedy"
	"github.com/knarr-io/knarr/internal/client"
)

// joinGroup is whom a token's bearer belongs to.
const joinGroup = "system:bootstrappers:knarr:join"

// NewToken is a token and what is to be told with it.
type NewToken struct {
	join.Token
	Server  string
	Expires time.Time
}

// TokenInfo is a token without its secret. One that never expires has the
// zero time.
type TokenInfo struct {
	ID, Description string
	Expires         time.Time
}

// errNoServer: tokens are the server's.
var errNoServer = errors.New("no server runs on this machine: tokens are made where `knarr up` made the cluster")

// tokens is where tokens are kept (KEP-130).
func (s Settings) tokens() (client.Typed[*corev1.Secret], error) {
	if _, known, err := loadState(s.stateFile()); err != nil {
		return client.Typed[*corev1.Secret]{}, err
	} else if !known || s.Server != "" {
		return client.Typed[*corev1.Secret]{}, errNoServer
	}
	c, err := clientOf(s.AdminKubeconfig())
	if err != nil {
		return client.Typed[*corev1.Secret]{}, err
	}
	return client.For[*corev1.Secret](c), nil
}

// CreateToken makes a token that is good for ttl.
func CreateToken(ctx context.Context, s Settings, ttl time.Duration, description string) (NewToken, error) {
	secrets, err := s.tokens()
	if err != nil {
		return NewToken{}, err
	}
	admin, err := adminConfig(s)
	if err != nil {
		return NewToken{}, err
	}
	token, err := join.NewToken(admin.CAData)
	if err != nil {
		return NewToken{}, err
	}
	expires := time.Now().Add(ttl).UTC().Truncate(time.Second)
	_, err = secrets.Create(ctx, tokenSecret(token, expires, description))
	if err != nil {
		return NewToken{}, fmt.Errorf("keep the token: %w", err)
	}
	server := "https://" + netip.AddrPortFrom(s.NodeAddress, uint16(s.APIPort)).String()
	return NewToken{Token: token, Server: server, Expires: expires}, nil
}

func tokenSecret(t join.Token, expires time.Time, description string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: jointoken.NamePrefix + t.ID},
		Type:       corev1.SecretTypeBootstrapToken,
		StringData: map[string]string{
			jointoken.IDKey: t.ID, jointoken.SecretKey: t.Secret,
			jointoken.ExpiryKey: expires.Format(time.RFC3339), jointoken.DescriptionKey: description,
			jointoken.UsageKey: "true", jointoken.GroupsKey: joinGroup,
		},
	}
}

// Tokens are those that let machines join, by their ids.
func Tokens(ctx context.Context, s Settings) ([]TokenInfo, error) {
	secrets, err := s.tokens()
	if err != nil {
		return nil, err
	}
	all, _, err := secrets.List(ctx, metav1.NamespaceSystem, metav1.ListOptions{FieldSelector: "type=" + string(corev1.SecretTypeBootstrapToken)})
	if err != nil {
		return nil, fmt.Errorf("list the tokens: %w", err)
	}
	var out []TokenInfo
	for _, secret := range all {
		expires, _ := jointoken.Expiry(secret)
		out = append(out, TokenInfo{ID: string(secret.Data[jointoken.IDKey]),
			Description: string(secret.Data[jointoken.DescriptionKey]), Expires: expires})
	}
	slices.SortFunc(out, func(a, b TokenInfo) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// RemoveToken takes a token back.
func RemoveToken(ctx context.Context, s Settings, id string) error {
	secrets, err := s.tokens()
	if err != nil {
		return err
	}
	id, _, _ = strings.Cut(id, ".")
	err = secrets.Delete(ctx, metav1.NamespaceSystem, jointoken.NamePrefix+id, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return remedy.New(fmt.Sprintf("there is no token %q", id), "see them with `knarr token ls`")
	}
	if err != nil {
		return fmt.Errorf("take the token back: %w", err)
	}
	return nil
}
