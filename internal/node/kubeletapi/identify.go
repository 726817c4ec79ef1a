package kubeletapi

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/knarr-io/knarr/internal/client"
)

// How long it is known whose a token is, as upstream knows it; how long that
// it is nobody's; and how many.
const (
	knownFor   = 2 * time.Minute
	unknownFor = 10 * time.Second
	maxTokens  = 1024
)

// identity is what the API server said of a token.
type identity struct {
	who   caller
	valid bool
	until time.Time
}

var errNobody = errors.New("neither a certificate nor a token says who asks")

// identify finds out who asks: by the client certificate, or else by a bearer
// token, about which the API server is asked (a TokenReview).
func (a *authorizer) identify(r *http.Request) (caller, error) {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		subject := r.TLS.VerifiedChains[0][0].Subject
		return caller{name: subject.CommonName, groups: append(subject.Organization, "system:authenticated")}, nil
	}
	scheme, token, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "bearer") || token == "" {
		return caller{}, errNobody
	}
	return a.review(r.Context(), token)
}

func (a *authorizer) review(ctx context.Context, token string) (caller, error) {
	key, now := sha256.Sum256([]byte(token)), time.Now()
	a.mu.Lock()
	known, ok := a.mu.tokens[key]
	a.mu.Unlock()
	if !ok || !now.Before(known.until) {
		review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
		got, err := client.For[*authenticationv1.TokenReview](a.client).Create(ctx, review)
		if err != nil {
			return caller{}, fmt.Errorf("ask whose a token is: %w", err)
		}
		known = identityOf(&got.Status, now)
		a.remember(key, known)
	}
	if !known.valid {
		return caller{}, errNobody
	}
	return known.who, nil
}

func identityOf(s *authenticationv1.TokenReviewStatus, now time.Time) identity {
	if !s.Authenticated {
		return identity{until: now.Add(unknownFor)}
	}
	out := identity{valid: true, until: now.Add(knownFor), who: caller{name: s.User.Username, uid: s.User.UID, groups: s.User.Groups}}
	if len(s.User.Extra) > 0 {
		out.who.extra = make(map[string]authorizationv1.ExtraValue, len(s.User.Extra))
		for name, values := range s.User.Extra {
			out.who.extra[name] = authorizationv1.ExtraValue(values)
		}
	}
	return out
}

func (a *authorizer) remember(key [sha256.Size]byte, i identity) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.mu.tokens) >= maxTokens {
		clear(a.mu.tokens)
	}
	a.mu.tokens[key] = i
}
