package local

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/knarr-io/knarr/internal/base/pki"
)

// certificateIn is the client certificate of a kubeconfig.
func certificateIn(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(config.CertData)
	if block == nil {
		t.Fatalf("%s holds no certificate", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// settingsWithEdge are those of a cluster whose edge has its folder. Only
// root can write for the edge's user: for others the folder is not there.
func settingsWithEdge(t *testing.T) (s Settings, kubeconfigs []string) {
	t.Helper()
	s = Settings{DataDir: t.TempDir(), APIPort: 6443}
	kubeconfigs = []string{s.AdminKubeconfig()}
	if os.Geteuid() == 0 {
		if err := os.Mkdir(s.edgeState(), 0o700); err != nil {
			t.Fatal(err)
		}
		kubeconfigs = append(kubeconfigs, s.edgeKubeconfig())
	}
	return s, kubeconfigs
}

// TestKubeconfigsFollowRenewals runs a server's certificates for longer than
// they live: at no time does a kubeconfig hold one that is expired, and where
// a file cannot be written, it is as soon as it can be.
func TestKubeconfigsFollowRenewals(t *testing.T) {
	const life = 90 * time.Minute
	s, kubeconfigs := settingsWithEdge(t)
	synctest.Test(t, func(t *testing.T) {
		quiet := slog.New(slog.DiscardHandler)
		authority, err := pki.Open(pki.Options{Dir: s.PKI(), LeafLife: life, Orders: clientOrders(), Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.WriteCredentials(authority); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { s.KeepCredentials(ctx, authority, quiet) })
		running.Go(func() {
			if err := authority.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		fresh := func(when string) {
			t.Helper()
			synctest.Wait()
			for _, path := range kubeconfigs {
				if end := certificateIn(t, path).NotAfter; !end.After(time.Now()) {
					t.Fatalf("%s: the certificate in %s expired %s ago", when, filepath.Base(path), time.Since(end))
				}
			}
		}
		for range 20 {
			time.Sleep(life / 4)
			fresh("as time goes by")
		}
		// The file's place is taken by a folder for a while.
		if err := os.Rename(s.AdminKubeconfig(), s.AdminKubeconfig()+".old"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(s.AdminKubeconfig(), 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(life)
		if err := os.Remove(s.AdminKubeconfig()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * retryCredentials)
		fresh("after it could not be written")
		cancel()
		running.Wait()
	})
}

// TestFilesHaveTheirOwnerFromTheStart: whoever opens a file while it is being
// replaced finds its owner's.
func TestFilesHaveTheirOwnerFromTheStart(t *testing.T) {
	owner := os.Geteuid()
	if owner == 0 {
		owner = edgeUser
	}
	path := filepath.Join(t.TempDir(), "file")
	stop := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			info, err := os.Stat(path)
			if err != nil {
				continue // not there yet
			}
			if stat := info.Sys().(*syscall.Stat_t); int(stat.Uid) != owner || info.Mode().Perm() != 0o600 {
				t.Errorf("the file belongs to %d with mode %s", stat.Uid, info.Mode())
				return
			}
		}
	})
	for range 500 {
		if err := writeFile(path, []byte("content"), 0o600, owner); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	looking.Wait()
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}
