package testkit

import (
	"encoding/pem"
	"net/http/httptest"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/client"
)

// HTTPS serves the cluster's API on loopback until the test ends and gives
// the administrator's configuration for it.
func (c *Cluster) HTTPS(t testing.TB) *rest.Config {
	t.Helper()
	srv := httptest.NewUnstartedServer(c.Server.Handler())
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(func() {
		c.Server.Stop()
		srv.CloseClientConnections()
		srv.Close()
	})
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	return &rest.Config{
		Host: srv.URL, BearerToken: Token, UserAgent: "testkit/1",
		TLSClientConfig: rest.TLSClientConfig{CAData: ca, ServerName: "example.com"},
	}
}

// Wire is a transport over HTTPS, under the administrator's identity.
func (c *Cluster) Wire(t testing.TB) request.Transport {
	t.Helper()
	out, err := client.NewHTTPS(c.HTTPS(t), c.Catalog)
	if err != nil {
		t.Fatal("connecting to the API server: ", err)
	}
	return out
}
