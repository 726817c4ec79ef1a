package ingress

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"sync"

	"github.com/knarr-io/knarr/internal/edge/mirror"
)

// caKey is where a Secret of type kubernetes.io/tls holds the authority, as
// those who issue certificates into such Secrets write it.
const caKey = "ca.crt"

// secureTransports carry requests by TLS: one for each way to verify whom they
// are sent to, so that no request travels on a connection that was verified in
// another. They are safe for concurrent use.
type secureTransports struct {
	mirror *mirror.Mirror

	mu sync.Mutex
	by map[trust]*trusted
}

// trust is how an endpoint's certificate is verified.
type trust struct {
	ca   mirror.Key // none: not at all
	name string
	// upgrade: for HTTP/1.1 alone.
	upgrade bool
}

// trusted is a transport with the version of the Secret that it was made of.
type trusted struct {
	version   string
	transport *http.Transport
}

func newSecureTransports(m *mirror.Mirror) *secureTransports {
	return &secureTransports{mirror: m, by: map[trust]*trusted{}}
}

// of is the transport for a target. A Secret that is named but cannot be used
// is an error: what was to be verified is not sent unverified.
func (s *secureTransports) of(t Target, upgrade bool) (http.RoundTripper, error) {
	key, version := trust{upgrade: upgrade}, ""
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}
	if t.Backend.CA != "" {
		key.ca = mirror.Key{Namespace: t.Service.Namespace, Name: t.Backend.CA}
		key.name = cmp.Or(t.Backend.ServerName, t.Service.Name+"."+t.Service.Namespace+".svc")
		secret, ok := s.mirror.Secret(key.ca)
		pool := x509.NewCertPool()
		if !ok || !pool.AppendCertsFromPEM(secret.Data[caKey]) {
			return nil, fmt.Errorf("the Secret %s/%s has no %s to verify endpoints with", key.ca.Namespace, key.ca.Name, caKey)
		}
		version = secret.ResourceVersion
		config = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: key.name}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.by[key]
	if have != nil && have.version == version {
		return have.transport, nil
	}
	if have != nil {
		have.transport.CloseIdleConnections()
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(!upgrade)
	transport := newTransport(&protocols)
	transport.TLSClientConfig = config
	s.by[key] = &trusted{version: version, transport: transport}
	return transport, nil
}

// closeIdle closes the connections that wait for their next request.
func (s *secureTransports) closeIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.by {
		t.transport.CloseIdleConnections()
	}
}

// retain closes the transports that no route needs any longer.
func (s *secureTransports) retain(r *Routes) {
	wanted := map[mirror.Key]bool{{}: true}
	for _, hosts := range []map[string][]route{r.hosts, r.wildcards} {
		for _, routes := range hosts {
			for i := range routes {
				t := &routes[i].target
				wanted[mirror.Key{Namespace: t.Service.Namespace, Name: t.Backend.CA}] = true
			}
		}
	}
	if r.fallback != nil {
		wanted[mirror.Key{Namespace: r.fallback.Service.Namespace, Name: r.fallback.Backend.CA}] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, t := range s.by {
		if !wanted[key.ca] {
			t.transport.CloseIdleConnections()
			delete(s.by, key)
		}
	}
}
