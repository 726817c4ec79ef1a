package join

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/knarr-io/knarr/internal/base/remedy"
)

// dialTime bounds the search for the server.
const dialTime = 10 * time.Second

// ParseServer reads the URL of a cluster's API.
func ParseServer(server string) (*url.URL, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("--server %s: want the URL of the cluster's API, as in https://192.0.2.1:6443", server)
	}
	return u, nil
}

// Discover gets the certificate of the cluster's authority, as PEM, from the
// server: the one in its chain that has the fingerprint, and that signed the
// server's certificate for the name in the URL. Nothing is sent to a server
// that cannot show it.
func Discover(ctx context.Context, server string, t Token) ([]byte, error) {
	u, err := ParseServer(server)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	port := u.Port()
	if port == "" {
		port = "443"
	}
	dialer := tls.Dialer{Config: &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: u.Hostname(),
		InsecureSkipVerify: true, // VerifyConnection does more
		VerifyConnection:   func(s tls.ConnectionState) error { return verify(s.PeerCertificates, u.Hostname(), t) },
	}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, unreached(server, err)
	}
	defer conn.Close()
	authority := pinned(conn.(*tls.Conn).ConnectionState().PeerCertificates, t)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw}), nil
}

// errFingerprint: the server shows no authority that the token names.
var errFingerprint = remedy.New("the server is not of the cluster that the token is for: its authority has another fingerprint",
	"take the address and the token from the same `knarr token create`")

// unreached says why the server is not, and what to do about it.
func unreached(server string, err error) error {
	failed := fmt.Errorf("reach the server at %s: %w", server, err)
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return remedy.For(failed, "compare the clocks of both machines (timedatectl): one of them is wrong")
	case errors.As(err, new(x509.HostnameError)):
		return remedy.For(failed, "use an address or a name of the server that its certificate is for")
	}
	return remedy.For(failed, "look whether the server runs (`knarr status` there), whether the address is right, and whether a firewall lets the port through")
}

// pinned is the authority that the token names; nil where it is not shown.
func pinned(chain []*x509.Certificate, t Token) *x509.Certificate {
	for _, cert := range chain {
		if cert.IsCA && fingerprintOf(cert) == t.Fingerprint {
			return cert
		}
	}
	return nil
}

func verify(chain []*x509.Certificate, host string, t Token) error {
	authority := pinned(chain, t)
	if authority == nil {
		return errFingerprint
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return err
}
