package knarrtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
)

// KubeconfigFile is the path of the administrator's kubeconfig, for kubectl,
// helm and other programs.
func (s *Server) KubeconfigFile() string { return filepath.Join(s.dir, "data", "admin.kubeconfig") }

// Kubeconfig is the administrator's kubeconfig. client-go's
// clientcmd.RESTConfigFromKubeConfig makes a client's configuration of it.
func (s *Server) Kubeconfig() []byte { return bytes.Clone(s.kubeconfig) }

// KubeconfigFor is a kubeconfig that acts as a user in groups (besides
// system:authenticated), with the rights that RBAC gives them and no others.
func (s *Server) KubeconfigFor(name string, groups ...string) []byte {
	var as strings.Builder
	fmt.Fprintf(&as, "${1}as: %q\n", name)
	if len(groups) > 0 {
		as.WriteString("${1}as-groups:\n")
		for _, g := range groups {
			fmt.Fprintf(&as, "${1}- %q\n", g)
		}
	}
	return certificateLine.ReplaceAll(s.kubeconfig, []byte(as.String()+"$0"))
}

// certificateLine is the line of a kubeconfig that begins what is known of its
// user.
var certificateLine = regexp.MustCompile(`(?m)^( +)client-certificate-data:.*$`)

// Client is an HTTP client with the administrator's certificate.
func (s *Server) Client() *http.Client { return s.client }

// field reads a field of a kubeconfig that the server wrote: PEM in base64.
func field(kubeconfig []byte, name string) ([]byte, error) {
	m := regexp.MustCompile(`(?m)^ +` + name + `: (\S+)$`).FindSubmatch(kubeconfig)
	if m == nil {
		return nil, fmt.Errorf("the kubeconfig has no %s", name)
	}
	return base64.StdEncoding.DecodeString(strings.Trim(string(m[1]), `"`))
}

func clientOf(kubeconfig []byte) (*http.Client, error) {
	var parts [3][]byte
	for i, name := range []string{"certificate-authority-data", "client-certificate-data", "client-key-data"} {
		var err error
		if parts[i], err = field(kubeconfig, name); err != nil {
			return nil, err
		}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(parts[0]) {
		return nil, errors.New("the kubeconfig holds no certificate of the authority")
	}
	certificate, err := tls.X509KeyPair(parts[1], parts[2])
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}}}}, nil
}

// firstAnswer asks whether the server is ready. Nothing secret is sent or
// believed, so that the server's certificate, which nobody knows yet, does not
// matter; it is on loopback, behind a socket that we opened.
func firstAnswer(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	if err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s %s, %w", answer.Status, text, err)
	}
	return nil
}
