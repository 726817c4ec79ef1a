package ingress

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/edge/mirror"
)

// Certificates gives the certificate for a host: that of the Secret which an
// Ingress names, or one of the cluster's authority, or a spare one. Parsed ones
// are kept until their Secret changes. It is safe for concurrent use.
type Certificates struct {
	mirror  *mirror.Mirror
	routes  func() *Routes
	issued  *issued
	spare   *tls.Certificate
	mu      sync.Mutex
	by      map[mirror.Key]*tls.Certificate
	version map[mirror.Key]string
}

// newCertificates makes them. issue asks the cluster's authority for hosts that
// have none of their own. The spare is for names that no Ingress has, and while
// the authority does not answer: self-signed, so that TLS works and clients are
// told.
func newCertificates(m *mirror.Mirror, routes func() *Routes, issue Issue, logger *slog.Logger, now time.Time) (*Certificates, error) {
	spare, err := selfSigned(now)
	if err != nil {
		return nil, fmt.Errorf("make a spare certificate: %w", err)
	}
	return &Certificates{mirror: m, routes: routes, issued: newIssued(issue, logger), spare: spare, by: map[mirror.Key]*tls.Certificate{}, version: map[mirror.Key]string{}}, nil
}

// Get implements tls.Config.GetCertificate.
func (c *Certificates) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	routes := c.routes()
	if key, ok := routes.Certificate(hello.ServerName); ok {
		if cert := c.ofSecret(key); cert != nil {
			return cert, nil
		}
	}
	if host, ok := routes.named(hello.ServerName); ok {
		if cert := c.issued.get(hello.Context(), host); cert != nil {
			return cert, nil
		}
	}
	if key, ok := routes.Certificate(""); ok {
		if cert := c.ofSecret(key); cert != nil {
			return cert, nil
		}
	}
	return c.spare, nil
}

// ofSecret is a Secret's certificate, nil where there is none that can be used.
func (c *Certificates) ofSecret(key mirror.Key) *tls.Certificate {
	secret, ok := c.mirror.Secret(key)
	if !ok {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if cert := c.by[key]; cert != nil && c.version[key] == secret.ResourceVersion {
		return cert
	}
	cert, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil // the Secret's owner sees another certificate; others are served
	}
	c.by[key], c.version[key] = &cert, secret.ResourceVersion
	return &cert
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
