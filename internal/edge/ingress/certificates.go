package ingress

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/edge/mirror"
)

// Certificates gives the certificate for a host. Parsed ones are kept until
// their Secret changes. It is safe for concurrent use.
type Certificates struct {
	mirror  *mirror.Mirror
	routes  func() *Routes
	spare   *tls.Certificate
	mu      sync.Mutex
	by      map[mirror.Key]*tls.Certificate
	version map[mirror.Key]string
}

// NewCertificates makes them, with a spare for hosts that have none of their
// own: self-signed, so that TLS works and clients are told.
func NewCertificates(m *mirror.Mirror, routes func() *Routes, now time.Time) (*Certificates, error) {
	spare, err := selfSigned(now)
	if err != nil {
		return nil, fmt.Errorf("make a spare certificate: %w", err)
	}
	return &Certificates{mirror: m, routes: routes, spare: spare, by: map[mirror.Key]*tls.Certificate{}, version: map[mirror.Key]string{}}, nil
}

// Get implements tls.Config.GetCertificate.
func (c *Certificates) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	key, ok := c.routes().Certificate(hello.ServerName)
	if !ok {
		return c.spare, nil
	}
	secret, ok := c.mirror.Secret(key)
	if !ok {
		return c.spare, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if cert := c.by[key]; cert != nil && c.version[key] == secret.ResourceVersion {
		return cert, nil
	}
	cert, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return c.spare, nil // the Secret's owner sees the wrong certificate; others are served
	}
	c.by[key], c.version[key] = &cert, secret.ResourceVersion
	return &cert, nil
}

func selfSigned(now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "Knarr Ingress, no certificate configured"},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"ingress.local"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
