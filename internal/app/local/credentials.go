package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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

// KeepCredentials writes the kubeconfigs whenever the authority, which has to
// run, has renewed certificates: once at first, since that may have been while
// nobody looked. People's own, to which Up added the cluster, are among them.
// It returns when ctx ends. What cannot be written is tried again: a third of
// the old certificates' life is left.
func (s Settings) KeepCredentials(ctx context.Context, authority *pki.Authority, logger *slog.Logger) {
	for {
		var again <-chan time.Time
		admin, err := s.WriteCredentials(authority)
		if err == nil {
			err = s.refreshPeoples(ctx, admin)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			logger.Error("kubeconfigs with renewed certificates could not be written", "error", err, "again_in", retryCredentials)
			again = time.After(retryCredentials)
		default:
			logger.Debug("kubeconfigs hold the certificates in use")
		}
		select {
		case <-ctx.Done():
			return
		case <-authority.Renewed():
		case <-again:
		}
	}
}

// refreshPeoples brings the entries in people's own kubeconfigs up to date.
func (s Settings) refreshPeoples(ctx context.Context, admin Credentials) error {
	st, known, err := loadState(s.stateFile())
	if err != nil || !known {
		return err
	}
	var failed []error
	for _, target := range st.Kubeconfigs {
		failed = append(failed, kubeconfig.Refresh(ctx, target, admin.entry(s.server())))
	}
	return errors.Join(failed...)
}

// entry is the administrator's in a kubeconfig.
func (c Credentials) entry(server string) kubeconfig.Entry {
	return kubeconfig.Entry{Name: "knarr", Server: server, CA: c.CA, Certificate: c.Certificate, Key: c.Key}
}

// withTarget adds a kubeconfig to those that hold the cluster.
func withTarget(before []kubeconfig.Target, t kubeconfig.Target) ([]kubeconfig.Target, error) {
	var err error
	if t.Path, err = filepath.Abs(t.Path); err != nil {
		return nil, fmt.Errorf("the kubeconfig's folder: %w", err)
	}
	before = slices.DeleteFunc(slices.Clone(before), func(b kubeconfig.Target) bool { return b.Path == t.Path })
	return append(before, t), nil
}

func (s Settings) writeKubeconfig(path string, c Credentials, owner int) error {
	return writeKubeconfig(path, s.server(), c, owner, writeFile)
}

func writeKubeconfig(path, server string, c Credentials, owner int, write fileWriter) error {
	data, err := kubeconfig.Encode(kubeconfig.Build(c.entry(server)))
	if err != nil {
		return err
	}
	return write(path, data, 0o600, owner)
}
