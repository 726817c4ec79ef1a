// Package jointoken is what those who make, check and clean up bootstrap
// tokens agree on: Secrets of type bootstrap.kubernetes.io/token in
// kube-system (KEP-130). It is pure.
package jointoken

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// What a token's Secret is called, before its id, and holds.
const (
	NamePrefix     = "bootstrap-token-"
	IDKey          = "token-id"
	SecretKey      = "token-secret"
	DescriptionKey = "description"
	ExpiryKey      = "expiration" // RFC 3339; none: never
	UsageKey       = "usage-bootstrap-authentication"
	GroupsKey      = "auth-extra-groups"
)

// Expiry is when a token ends; never for one that says nothing. One whose time
// cannot be read has ended.
func Expiry(s *corev1.Secret) (at time.Time, never bool) {
	text := string(s.Data[ExpiryKey])
	if text == "" {
		return time.Time{}, true
	}
	at, _ = time.Parse(time.RFC3339, text) // zero, long ago, where it cannot be read
	return at, false
}
