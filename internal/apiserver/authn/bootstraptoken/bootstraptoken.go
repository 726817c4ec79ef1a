// Package bootstraptoken knows the tokens by which new nodes ask for a
// certificate: Secrets of type bootstrap.kubernetes.io/token in kube-system
// (KEP-130). It reads the object cache at every use, so that a token ends the
// moment its Secret does, and holds no state.
package bootstraptoken

import (
	"context"
	"crypto/subtle"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api/jointoken"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Who the bearer is.
const (
	userPrefix  = "system:bootstrap:"
	group       = "system:bootstrappers"
	groupPrefix = group + ":"
)

// The halves of a token, before and behind the dot.
const idLength, secretLength = 6, 16

// maxGroup bounds what stands behind a group's prefix.
const maxGroup = 256

// New makes an authenticator over the Secrets of the cache.
func New(secrets *cache.Resource) authenticator.Token {
	groups := regexp.MustCompile(`^[a-z0-9:-]*[a-z0-9]$`)
	return authenticator.TokenFunc(func(_ context.Context, token string) (*authenticator.Response, bool, error) {
		id, secret, ok := split(token)
		if !ok {
			return nil, false, nil
		}
		item, ok := secrets.Get(metav1.NamespaceSystem, jointoken.NamePrefix+id)
		if !ok {
			return nil, false, nil
		}
		extra, ok := accept(item.Object.(*corev1.Secret), id, secret, time.Now(), groups)
		if !ok {
			return nil, false, nil
		}
		return &authenticator.Response{User: &user.DefaultInfo{Name: userPrefix + id, Groups: append([]string{group}, extra...)}}, true, nil
	})
}

// split takes a token apart; ok is false for what is none.
func split(token string) (id, secret string, ok bool) {
	id, secret, ok = strings.Cut(token, ".")
	return id, secret, ok && len(id) == idLength && len(secret) == secretLength && plain(id) && plain(secret)
}

func plain(text string) bool {
	for _, c := range text {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// accept tells whether the Secret is that of the token, and the groups that it
// adds.
func accept(s *corev1.Secret, id, secret string, now time.Time, pattern *regexp.Regexp) (groups []string, ok bool) {
	switch {
	case s.Type != corev1.SecretTypeBootstrapToken, s.DeletionTimestamp != nil:
		return nil, false
	case subtle.ConstantTimeCompare(s.Data[jointoken.SecretKey], []byte(secret)) != 1, string(s.Data[jointoken.IDKey]) != id:
		return nil, false
	case string(s.Data[jointoken.UsageKey]) != "true", expired(s, now):
		return nil, false
	}
	for _, g := range strings.Split(string(s.Data[jointoken.GroupsKey]), ",") {
		if g = strings.TrimSpace(g); g == "" {
			continue
		}
		rest, ok := strings.CutPrefix(g, groupPrefix)
		if !ok || len(rest) > maxGroup || !pattern.MatchString(rest) {
			return nil, false
		}
		groups = append(groups, g)
	}
	return groups, true
}

// expired tells whether the token has ended.
func expired(s *corev1.Secret, now time.Time) bool {
	at, never := jointoken.Expiry(s)
	return !never && !now.Before(at)
}
