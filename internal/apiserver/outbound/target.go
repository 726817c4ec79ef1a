package outbound

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"k8s.io/client-go/rest"
)

// ServicePort names a port of a Service of the cluster.
type ServicePort struct {
	Namespace, Name string
	// Port is the Service's port; zero: 443.
	Port int32
}

// Number is the port, with its default.
func (s ServicePort) Number() int32 {
	if s.Port == 0 {
		return 443
	}
	return s.Port
}

// Host is the name for which the server must have a certificate.
func (s ServicePort) Host() string { return s.Name + "." + s.Namespace + ".svc" }

// Target says where a server is and how it is recognized. Either URL or
// Service is set.
type Target struct {
	// URL is an https URL without user, query and fragment.
	URL     string
	Service *ServicePort
	// Path is where the server answers, below a Service.
	Path string
	// CABundle are PEM certificates that sign the server's; empty: those that
	// this machine trusts.
	CABundle []byte
	// Insecure takes any certificate.
	Insecure bool
	// ClientCertificate identifies this server; nil: no certificate.
	ClientCertificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	// Credentials are how this server identifies itself beside that; nil: not.
	// They do not tell targets apart.
	Credentials Credentials
}

// Credentials finds what to tell a server at host:port of who calls: a client
// certificate, a token or a password. It returns an empty configuration for
// servers that are told nothing.
type Credentials func(hostPort string) (*rest.Config, error)

// Same tells whether an Endpoint for one target serves the other too.
func (t Target) Same(o Target) bool {
	same := t.URL == o.URL && t.Path == o.Path && t.Insecure == o.Insecure && bytes.Equal(t.CABundle, o.CABundle)
	switch {
	case t.Service == nil || o.Service == nil:
		return same && t.Service == o.Service
	default:
		return same && *t.Service == *o.Service
	}
}

// location is the URL that requests go to.
func (t Target) location() (*url.URL, error) {
	if s := t.Service; s != nil {
		at := &url.URL{Scheme: "https", Host: net.JoinHostPort(s.Host(), strconv.Itoa(int(s.Number())))}
		// The path was checked with the object; what is escaped stays so.
		path, err := url.Parse(t.Path)
		if err != nil {
			return nil, fmt.Errorf("the path %q of service %s/%s: %w", t.Path, s.Namespace, s.Name, err)
		}
		at.Path, at.RawPath = path.Path, path.RawPath
		return at, nil
	}
	if t.URL == "" {
		return nil, errors.New("webhook configuration must have either service or URL")
	}
	at, err := url.Parse(t.URL)
	if err != nil {
		return nil, fmt.Errorf("unparsable webhook URL: %w", err)
	}
	if at.Scheme != "https" || at.Host == "" {
		return nil, fmt.Errorf("the URL %q must begin with https:// and name a host", t.URL)
	}
	return at, nil
}

// identify adds the target's credentials to a configuration of connections;
// wrap adds those that lie in headers.
func (t Target) identify(at *url.URL, config *tls.Config) (wrap func(http.RoundTripper) (http.RoundTripper, error), err error) {
	plain := func(rt http.RoundTripper) (http.RoundTripper, error) { return rt, nil }
	if t.Credentials == nil {
		return plain, nil
	}
	port := at.Port()
	if port == "" {
		port = "443"
	}
	identity, err := t.Credentials(net.JoinHostPort(at.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", at.Host, err)
	}
	certificate, err := rest.TLSConfigFor(identity)
	if err != nil {
		return nil, fmt.Errorf("client certificate for %s: %w", at.Host, err)
	}
	if certificate != nil && certificate.GetClientCertificate != nil {
		config.GetClientCertificate = certificate.GetClientCertificate
	}
	return func(rt http.RoundTripper) (http.RoundTripper, error) { return rest.HTTPWrappersForConfig(identity, rt) }, nil
}

// tls is the configuration of connections to the target.
func (t Target) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.Insecure, GetClientCertificate: t.ClientCertificate} //nolint:gosec // asked for by the configuration
	if t.Service != nil {
		config.ServerName = t.Service.Host()
	}
	if len(t.CABundle) == 0 {
		return config, nil
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(t.CABundle) {
		return nil, errors.New("unable to load root certificates: unable to parse bytes as PEM block")
	}
	return config, nil
}
