package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/knarr-io/knarr/internal/app/join"
)

// Where not all papers of a machine can be written, none tells that it has
// joined, or that they were renewed: the rest would never be asked for again.
func TestPapersCountWhenAllAreThere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the edge's file is given to its user: run it as root")
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
