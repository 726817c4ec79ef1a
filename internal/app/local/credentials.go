package local

import (
	"os"

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
	of := func(cert *pki.Certificate) Credentials {
		c := Credentials{CA: authority.ClusterCA().PEM()}
		c.Certificate, c.Key = cert.PEM()
		return c
	}
	admin := of(certs[0])
	if err := s.writeKubeconfig(s.AdminKubeconfig(), admin, os.Geteuid()); err != nil {
		return Credentials{}, err
	}
	if _, err := os.Stat(s.edgeState()); err != nil {
		return admin, nil
	}
	return admin, s.writeKubeconfig(s.edgeKubeconfig(), of(certs[1]), edgeUser)
}

func (s Settings) writeKubeconfig(path string, c Credentials, owner int) error {
	data, err := kubeconfig.Encode(kubeconfig.Build(kubeconfig.Entry{Name: "knarr", Server: s.server(), CA: c.CA, Certificate: c.Certificate, Key: c.Key}))
	if err != nil {
		return err
	}
	if err := writeFile(path, data, 0o600); err != nil {
		return err
	}
	return os.Chown(path, owner, owner)
}
