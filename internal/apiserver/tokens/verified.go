package tokens

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// rememberFor bounds how long a verified signature is remembered. What
	// can change (dates, bound objects) is checked at every use all the same.
	rememberFor = 10 * time.Minute
	// rememberMost bounds how many; then the older half is forgotten.
	rememberMost = 8192
)

// verified remembers claims whose signature was checked, by the token's hash.
// Two generations bound its size without an order of use.
type verified struct {
	mu       sync.Mutex
	now, old map[[sha256.Size]byte]*Claims
	turned   time.Time
}

func newVerified() *verified { return &verified{now: map[[sha256.Size]byte]*Claims{}} }

// get returns nil for what is not remembered. The claims are shared.
func (v *verified) get(sum [sha256.Size]byte) *Claims {
	v.mu.Lock()
	defer v.mu.Unlock()
	if claims := v.now[sum]; claims != nil {
		return claims
	}
	return v.old[sum]
}

func (v *verified) put(sum [sha256.Size]byte, claims *Claims, at time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.now) >= rememberMost/2 || at.Sub(v.turned) > rememberFor/2 {
		v.old, v.now, v.turned = v.now, map[[sha256.Size]byte]*Claims{}, at
	}
	v.now[sum] = claims
}
