package local

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/knarr-io/knarr/internal/app/join"
	"github.com/knarr-io/knarr/internal/base/pki"
)

// Where not all papers of a machine can be written, none tells that it has
// joined, or that they were renewed: the rest would never be asked for again.
func TestPapersCountWhenAllAreThere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test gives the edge's file to its user: run it as root")
	}
	for _, lacking := range []func(Settings) string{Settings.ProxyKubeconfig, Settings.edgeKubeconfig, Settings.NodeKubeconfig} {
		s := Settings{DataDir: t.TempDir(), Server: "https://192.0.2.1:6443"}
		path := lacking(s)
		if err := errors.Join(os.MkdirAll(s.edgeState(), 0o700), os.MkdirAll(filepath.Join(path, "in the way"), 0o700)); err != nil {
			t.Fatal(err)
		}
		if err := s.writePapers([]byte("ca"), join.Papers{}); err == nil {
			t.Errorf("%s: no error", path)
		}
		if _, err := os.Stat(s.ServingCertificate()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without %s the machine passes for one that has joined", path)
		}
		if err := errors.Join(os.RemoveAll(path), s.writePapers([]byte("ca"), join.Papers{})); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.ServingCertificate()); err != nil {
			t.Error(err)
		}
	}
}

// A machine that was away for longer than its certificates live has to join
// again, and is told how.
func TestPapersThatEnded(t *testing.T) {
	s := Settings{DataDir: t.TempDir(), NodeName: "away", NodeAddress: netip.MustParseAddr("192.0.2.7"), Server: "https://192.0.2.1:6443"}
	synctest.Test(t, func(t *testing.T) {
		authority, err := pki.Open(pki.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		certs, err := authority.Certificates(s.furtherOrders()...)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.MkdirAll(s.identity(), 0o700), writeFile(s.ServingCertificate(), credentialsOf(authority, certs[1]).Certificate, 0o600, os.Geteuid())); err != nil {
			t.Fatal(err)
		}
		j := &joiner{upper: upper{Settings: s}}
		if err := j.enroll(t.Context()); err != nil {
			t.Errorf("while the papers are good: %v", err)
		}
		time.Sleep(366 * 24 * time.Hour)
		if err := j.enroll(t.Context()); err == nil || !strings.Contains(err.Error(), "kubectl delete node away") || !strings.Contains(err.Error(), "knarr token create") {
			t.Errorf("when the papers have ended: %v", err)
		}
	})
}
