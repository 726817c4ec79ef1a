// Package kubeconfigtest tells programs under test, by a kubeconfig, of servers
// that a test runs: webhooks are configured that way.
package kubeconfigtest

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/knarr-io/knarr/internal/kubeconfig"
)

// File writes a kubeconfig for a TLS server and returns its path; it goes with
// the test.
func File(t testing.TB, s *httptest.Server) string {
	t.Helper()
	text, err := kubeconfig.Encode(kubeconfig.Build(kubeconfig.Entry{
		Name: "test", Server: s.URL,
		CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}),
	}))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
