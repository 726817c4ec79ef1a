package authn

import (
	"crypto/sha256"
	"crypto/x509"
	"net/http"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
)

const (
	// rememberFor bounds how long a verified certificate is not verified again.
	rememberFor = 5 * time.Minute
	// rememberMost bounds how many are remembered.
	rememberMost = 4096
)

// remembering answers for certificates that next has accepted, so that the
// signature is not checked with every request of a connection.
type remembering struct {
	next  authenticator.Request
	roots func() *x509.CertPool

	mu    sync.Mutex
	known map[[sha256.Size]byte]accepted // guarded by mu
}

// accepted is one certificate's user, under the roots of its time.
type accepted struct {
	response *authenticator.Response
	roots    *x509.CertPool
	until    time.Time
}

func newRemembering(next authenticator.Request, roots func() *x509.CertPool) *remembering {
	return &remembering{next: next, roots: roots, known: map[[sha256.Size]byte]accepted{}}
}

// AuthenticateRequest implements authenticator.Request.
func (m *remembering) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	// A chain is verified every time: what stands in it beside the leaf counts.
	if r.TLS == nil || len(r.TLS.PeerCertificates) != 1 {
		return m.next.AuthenticateRequest(r)
	}
	leaf, roots, now := r.TLS.PeerCertificates[0], m.roots(), time.Now()
	sum := sha256.Sum256(leaf.Raw)
	// Until when it is good is asked apart: the time of day goes on while the
	// machine sleeps, the clock that until goes by does not.
	if one, ok := m.find(sum); ok && one.roots == roots && now.Before(one.until) && now.Before(leaf.NotAfter) {
		return one.response, true, nil
	}
	response, ok, err := m.next.AuthenticateRequest(r)
	if ok && err == nil {
		m.put(sum, accepted{response: response, roots: roots, until: now.Add(rememberFor)})
	}
	return response, ok, err
}

func (m *remembering) find(sum [sha256.Size]byte) (accepted, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one, ok := m.known[sum]
	return one, ok
}

func (m *remembering) put(sum [sha256.Size]byte, one accepted) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.known) >= rememberMost {
		clear(m.known) // rare, and it only costs verifying again
	}
	m.known[sum] = one
}
