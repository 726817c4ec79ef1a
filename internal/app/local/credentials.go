package local

import (
	"context"
	"log/slog"
	"os"
	"time"

	"k8s.io/client-go/rest"

	"github.com/knarr-io/knarr/internal/base/pki"
	"github.com/knarr-io/knarr/internal/kubeconfig"
)

// Credentials are how a user reaches the API, as PEM.
type Credentials struct{ CA, Certificate, Key []byte }

// config is a client configuration with the credentials.
func (c Credentials) config(server string) *rest.Config {
	return &rest.Config{Host: server, TLSClientConfig: rest.TLSClientConfig{CAData: c.CA, CertData: c.Certificate, KeyData: c.Key}, QPS: -1}
}

// clientOrders are the certificates of those who reach the API from outside
// of the server: the administrator and the edge.
func clientOrders() []pki.Order {
	return []pki.Order{pki.Admin(), pki.ClientOrder("edge", "system:knarr:edge")}
}

// WriteCredentials writes the kubeconfigs of the administrator and, where the
// edge has its folder, of the edge; it returns the administrator's.
func (s Settings) WriteCredentials(authority *pki.Authority) (Credentials, error) {
	certs, err := authority.Certificates(clientOrders()...)
	if err != nil {
		return Credentials{}, err
	}
	admin := credentialsOf(authority, certs[0])
	if err := s.writeKubeconfig(s.AdminKubeconfig(), admin, os.Geteuid()); err != nil {
		return Credentials{}, err
	}
	if err := s.writeFurther(authority, certs[1]); err != nil {
		return Credentials{}, err
	}
	if _, err := os.Stat(s.edgeState()); err != nil {
		return admin, nil
	}
	return admin, s.writeKubeconfig(s.edgeKubeconfig(), credentialsOf(authority, certs[1]), edgeUser)
}

func credentialsOf(authority *pki.Authority, cert *pki.Certificate) Credentials {
	c := Credentials{CA: authority.ClusterCA().PEM()}
	c.Certificate, c.Key = cert.PEM()
	return c
}

// retryCredentials is the pause after kubeconfigs could not be written.
const retryCredentials = time.Minute

// KeepCredentials writes the kubeconfigs again whenever the authority, which
// has to run, has renewed certificates. It returns when ctx ends. What cannot
// be written is tried again: a third of the old certificates' life is left.
func (s Settings) KeepCredentials(ctx context.Context, authority *pki.Authority, logger *slog.Logger) {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-authority.Renewed():
		case <-again:
		}
		again = nil
		if _, err := s.WriteCredentials(authority); err != nil {
			logger.Error("kubeconfigs with renewed certificates could not be written", "error", err, "again_in", retryCredentials)
			again = time.After(retryCredentials)
			continue
		}
		logger.Info("kubeconfigs were written with renewed certificates")
	}
}

func (s Settings) writeKubeconfig(path string, c Credentials, owner int) error {
	return writeKubeconfig(path, s.server(), c, owner)
}

func writeKubeconfig(path, server string, c Credentials, owner int) error {
	data, err := kubeconfig.Encode(kubeconfig.Build(kubeconfig.Entry{Name: "knarr", Server: server, CA: c.CA, Certificate: c.Certificate, Key: c.Key}))
	if err != nil {
		return err
	}
	return writeFile(path, data, 0o600, owner)
}
